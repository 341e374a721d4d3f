//! From jobs and settings to the queues that a worker consumes.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret::Queue;

use crate::config::{
    self, DEFAULT_CONCURRENCY, FAST_PREFETCH, LONG_JOB, MAX_PREFETCH, QueuePlan, QueueSetting, Settings,
};
use crate::handler::JobSpec;
use crate::kill_switch::KillSwitch;

/// No delivery is returned sooner than this for want of a slot, however long its jobs may run: it would come back at once.
const SHORTEST_WAIT: Duration = Duration::from_secs(10);

/// One queue while it is pieced together: its definition with who gave it, its jobs, what was set for it.
struct Sketch<'a> {
    queue: &'a Queue,
    source: String,
    longest_timeout: Option<Duration>,
    /// Whether all of its jobs are run by blocking handlers.
    blocking: bool,
    concurrency: Option<usize>,
    prefetch: Option<u16>,
    kill_switch: Option<KillSwitch>,
}

/// Each queue once, from the jobs that go there and what was set for it.
pub(super) fn plan_queues(
    jobs: &[JobSpec],
    set: Vec<QueueSetting>,
    settings: &Settings,
    problems: &mut Vec<String>,
) -> Vec<QueuePlan> {
    let mut sketches: BTreeMap<&str, Sketch<'_>> = BTreeMap::new();
    let of_jobs = jobs
        .iter()
        .map(|job| (&job.queue, format!("the job `{}`", job.name), Some(job), None));
    let of_settings = set
        .iter()
        .map(|one| (&one.queue, "the builder".to_owned(), None, Some(one)));
    for (queue, source, job, setting) in of_jobs.chain(of_settings) {
        let sketch = sketches.entry(queue.name()).or_insert_with(|| Sketch {
            queue,
            source: source.clone(),
            longest_timeout: None,
            blocking: true,
            concurrency: None,
            prefetch: None,
            kill_switch: None,
        });
        if sketch.queue != queue {
            problems.push(two_definitions(sketch, queue, &source));
        }
        if let Some(job) = job {
            let timeout = job.timeout_in(settings);
            sketch.longest_timeout = sketch.longest_timeout.max(Some(timeout));
            sketch.blocking &= job.blocking;
        }
        if let Some(setting) = setting {
            sketch.concurrency = setting.concurrency.or(sketch.concurrency);
            sketch.prefetch = setting.prefetch.or(sketch.prefetch);
            sketch.kill_switch = setting.kill_switch.or(sketch.kill_switch);
        }
    }
    sketches
        .into_values()
        .filter_map(|sketch| finish(&sketch, settings, problems))
        .collect()
}

fn two_definitions(sketch: &Sketch<'_>, other: &Queue, source: &str) -> String {
    let told = |queue: &Queue| {
        format!(
            "{:?}, delivery limit {}, max length {:?}, dead letters {:?}",
            queue.kind(),
            queue.limit_of_deliveries(),
            queue.limit_of_messages(),
            queue.dead_letter_mode()
        )
    };
    format!(
        "the queue `{}` is defined in two ways: by {} ({}) and by {source} ({}); share one constant",
        other.name(),
        sketch.source,
        told(sketch.queue),
        told(other)
    )
}

fn finish(sketch: &Sketch<'_>, settings: &Settings, problems: &mut Vec<String>) -> Option<QueuePlan> {
    let name = sketch.queue.name();
    let Some(longest_timeout) = sketch.longest_timeout else {
        problems.push(format!(
            "the queue `{name}` is set up but no handler's job goes there: register one, or route one there with `.route::<J>(…)`"
        ));
        return None;
    };
    let default = match sketch.blocking {
        true => settings.cores.clamp(1, usize::from(MAX_PREFETCH)),
        false => DEFAULT_CONCURRENCY,
    };
    let concurrency = sketch.concurrency.unwrap_or(default);
    if concurrency == 0 || concurrency > usize::from(MAX_PREFETCH) {
        problems.push(format!(
            "the concurrency of the queue `{name}` is {concurrency}: it must be from 1 to {MAX_PREFETCH}"
        ));
        return None;
    }
    let prefetch = sketch
        .prefetch
        .unwrap_or_else(|| config::prefetch(concurrency, longest_timeout));
    if usize::from(prefetch) < concurrency || prefetch > MAX_PREFETCH {
        problems.push(format!(
            "the prefetch of the queue `{name}` is {prefetch}: it must be from its concurrency ({concurrency}) to {MAX_PREFETCH}"
        ));
        return None;
    }
    if let Some(problem) = sketch.kill_switch.as_ref().and_then(KillSwitch::problem) {
        problems.push(format!(
            "the kill switch of the queue `{name}` cannot be used: {problem}"
        ));
    }
    let longest_hold = settings.longest_hold();
    Some(QueuePlan {
        queue: sketch.queue.clone(),
        concurrency,
        prefetch,
        // What the application has set holds.
        fast_prefetch: sketch.prefetch.unwrap_or(FAST_PREFETCH).max(prefetch),
        longest_wait: longest_hold
            .saturating_sub(longest_timeout)
            .clamp(SHORTEST_WAIT, LONG_JOB),
        longest_hold,
        kill_switch: sketch.kill_switch,
        unknown: settings.unknown,
    })
}
