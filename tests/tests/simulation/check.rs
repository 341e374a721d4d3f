//! The reckoning: every promise, against what was seen and what lies in the broker.

use std::collections::{BTreeMap, BTreeSet};

use leveret::broker::memory::MemoryBroker;
use leveret::{Fate, Why};

use crate::life::{Settings, Story};
use crate::world::{QUEUES, Run, Seen, World};

/// Checks a life that has come to rest.
pub(crate) fn everything(broker: &MemoryBroker, world: &World, settings: &Settings) -> Story {
    let seen = world.seen();
    let dead = dead_letters(broker);
    let mut story = Story {
        jobs: world.plots.len() as u64,
        dead: dead.len() as u64,
        ..Story::default()
    };
    assert_eq!(seen.fates.len(), world.plots.len(), "every caller was told, or crashed");
    for (number, fate) in &seen.fates {
        let runs = seen.runs.get(number).map(Vec::as_slice).unwrap_or_default();
        let ended = runs.iter().any(|run| run.finished) || dead.contains(number);
        match fate {
            Ok(()) => assert!(ended, "job {number} was confirmed and is lost: {runs:?}"),
            Err(fate) if is_certain(fate) => {
                story.refused += 1;
                assert!(
                    runs.is_empty() && !ended,
                    "job {number} is {fate:?} and ran all the same: {runs:?}"
                );
            }
            Err(_) => story.unknown += 1,
        }
        story.runs += runs.len() as u64;
        story.duplicates += explained_duplicates(*number, runs);
    }
    assert!(
        broker.depth("leveret.lost").is_none_or(|depth| depth.ready == 0),
        "nothing was unroutable"
    );
    bounded(&seen, settings);
    if settings.keeps_order() {
        in_order(&seen, world);
    }
    story
}

/// Whether a fate promises that the job is not in the broker. A job that is refused because three channels died under it is
/// not quite certain here: the weather kills channels for no reason.
fn is_certain(fate: &Fate) -> bool {
    matches!(
        fate,
        Fate::NotSent | Fate::Refused(Why::Nacked | Why::Unroutable | Why::Undeclared(_) | Why::Unsendable(_))
    )
}

fn dead_letters(broker: &MemoryBroker) -> BTreeSet<usize> {
    let messages = QUEUES
        .iter()
        .flat_map(|queue| broker.messages(&format!("{}.dead", queue.name())));
    messages
        .map(|message| message.properties.message_id.expect("set").parse().expect("a number"))
        .collect()
}

/// Every run beyond the first of one message was announced as a possible repetition, or has an ancestor of its own: where a message
/// was delivered twice, each of the deliveries may have had a successor. A delivery that was never run had one too, if it was
/// published anew (returned untouched, say): that may have happened at each hop.
fn explained_duplicates(number: usize, runs: &[Run]) -> u64 {
    let mut by_step: BTreeMap<(i64, u32), Vec<&Run>> = BTreeMap::new();
    for run in runs {
        by_step.entry((run.hop, run.attempt)).or_default().push(run);
    }
    let mut duplicates = 0;
    for ((hop, _), of_step) in by_step {
        let ran_before = runs.iter().filter(|run| run.hop < hop).count();
        let ancestors = (ran_before + usize::try_from(hop).expect("a count")).max(1);
        let unannounced = of_step.iter().filter(|run| !run.announced).count();
        assert!(
            unannounced <= ancestors,
            "job {number} has an unexplained duplicate: {runs:?}"
        );
        duplicates += of_step.len() as u64 - 1;
    }
    duplicates
}

fn bounded(seen: &Seen, settings: &Settings) {
    // A crashed worker's handlers are gone, so at any time at most `workers` of them run, each queue on its own.
    let most = settings.workers.max(1) * settings.concurrency * QUEUES.len();
    assert!(
        seen.most_running <= most,
        "{} handlers at once, {most} allowed",
        seen.most_running
    );
    assert_eq!(seen.running, 0, "a handler still runs");
}

/// Whether a copy of the job was published anew before its first attempt, as a suspect or because it had been returned often.
/// It then stands elsewhere, and what else there is of the job, sent twice by its producer, comes when it comes.
fn was_set_aside(runs: &[Run]) -> bool {
    runs.iter().any(|run| run.attempt == 1 && run.hop > 0)
}

/// With one worker that holds one job at a time, jobs of a queue start in the order of their enqueueing.
fn in_order(seen: &Seen, world: &World) {
    // A full queue nacks, and what is nacked and not heard of is sent again later.
    for queue in (0..QUEUES.len()).filter(|queue| QUEUES[*queue].limit_of_messages().is_none()) {
        let started: Vec<usize> = seen
            .first_runs
            .iter()
            .copied()
            .filter(|number| world.plots[*number].queue == queue && !was_set_aside(&seen.runs[number]))
            .collect();
        assert!(
            started.is_sorted(),
            "queue {}: started in the order {started:?}",
            QUEUES[queue].name()
        );
    }
}
