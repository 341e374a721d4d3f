//! Handlers that block, panic, and end their process.

use std::time::Duration;

use leveret_tests::signal::eventually_within;
use leveret_tests::soak::record::Started;
use leveret_tests::soak::{EXIT, Mischief, id_of};

use super::{GROUP, SOON};
use crate::scenario::{Scenario, Setup};
use crate::stage::{HEARTBEAT, Stage, load};

/// The broker gives a client up that has been silent for two to three heartbeats.
const BLOCK: &str = "1000:16";
const PANICS: u64 = 777;
/// Of the job type of the soaks.
const MAX_ATTEMPTS: usize = 20;
const EXITS: u64 = 1_000;
/// Two in its queue, and three among the suspects.
const STARTS: usize = 5;
/// What the twenty attempts take, with their waits, and five starts of a worker.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        group: GROUP,
        name: "handler-blocks",
        what: "a handler blocks every thread of its runtime for four heartbeats",
        setup: Setup::Node(&[]),
        load: load(30).with(&["--block", BLOCK]),
        within: SOON,
        act: |stage| Box::pin(blocks(stage)),
    },
    Scenario {
        group: GROUP,
        name: "handler-panics",
        what: "every tenth job panics in its first run, and one in each run",
        setup: Setup::Node(&[]),
        load: load(35).with(&["--panic-every", "10", "--panic", "777"]),
        within: SOON,
        act: |stage| Box::pin(panics(stage)),
    },
    Scenario {
        group: GROUP,
        name: "handler-exits",
        what: "a job ends the process of each worker that runs it, and others take their place",
        setup: Setup::Node(&[]),
        load: load(30).with(&["--exit", "1000"]),
        within: SOON,
        act: |stage| Box::pin(exits(stage)),
    },
];

/// AMQP has a thread of its own: the connection lives, and so nothing is delivered twice.
async fn blocks(stage: &mut Stage) {
    stage.allowed.dead = Some(0);
    stage.allowed.once = true;
    let (id, time) = Mischief::block_of(BLOCK).expect("ID:SECONDS");
    assert!(time > 3 * HEARTBEAT, "the broker has to be able to notice");
    let connections = stage.connections().await;
    let begun = async || starts_of(stage, id).len() == 1;
    eventually_within(PATIENCE, "the job that blocks has begun", begun).await;
    let worker = starts_of(stage, id)[0];
    stage.cause_begins();
    stage.last(time + Duration::from_secs(2)).await;
    stage.cause_ended();
    if stage.connections().await != connections {
        stage.fault("a connection was lost");
    }
    let mut ends: Vec<u64> = stage.flow.worked_by(worker).iter().map(|line| line.at).collect();
    ends.sort_unstable();
    let pause = ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    stage.note(format!("its worker ended no job for {pause} ms"));
    if u128::from(pause) < (3 * HEARTBEAT).as_millis() {
        stage.fault("not every thread was blocked");
    }
}

async fn panics(stage: &mut Stage) {
    stage.allowed.dead = Some(1);
    stage.allowed.once = true;
    stage.cause_begins();
    wait_for_letter(stage, PANICS, "panicked").await;
    stage.cause_ended();
    let runs = starts_of(stage, PANICS).len();
    stage.note(format!("job {PANICS} ran {runs} times"));
    if runs != MAX_ATTEMPTS {
        stage.fault(format!("it was to run {MAX_ATTEMPTS} times"));
    }
}

async fn exits(stage: &mut Stage) {
    stage.allowed.dead = Some(1);
    stage.cause_begins();
    wait_for_letter(stage, EXITS, "poison").await;
    stage.cause_ended();
    let starts = starts_of(stage, EXITS).len();
    stage.note(format!("job {EXITS} was started {starts} times"));
    if starts != STARTS {
        stage.fault(format!("it was to be started {STARTS} times"));
    }
}

/// Waits until a job is a dead letter, for this reason, and meanwhile puts another worker in the place of each that ends.
async fn wait_for_letter(stage: &mut Stage, id: u64, reason: &str) {
    let end = tokio::time::Instant::now() + PATIENCE;
    let mut ended = Vec::new();
    let found = loop {
        for _ in 0..5 {
            ended.extend(stage.flow.replace_ended());
            stage.last(Duration::from_millis(200)).await;
        }
        let letters = stage.letters().await;
        if let Some(letter) = letters.into_iter().find(|letter| id_of(letter.id.as_str()) == Some(id)) {
            break letter;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "job {id} is no dead letter after {PATIENCE:?}; it was started {} times, and workers have ended so: {ended:?}",
            starts_of(stage, id).len()
        );
    };
    if !ended.iter().all(|status| status.code() == Some(EXIT)) {
        stage.fault(format!("workers ended with {ended:?}"));
    }
    stage.note(format!("{} workers ended", ended.len()));
    if found.death.reason != reason {
        stage.fault(format!("job {id} is dead of {:?}, not {reason:?}", found.death.reason));
    }
}

/// Which workers have started a job, once for each start.
fn starts_of(stage: &Stage, id: u64) -> Vec<usize> {
    let started = stage.flow.started();
    let by = |(worker, starts): (usize, Vec<_>)| {
        let of_it = starts.into_iter().filter(move |start: &Started| start.id == id);
        of_it.map(move |_| worker)
    };
    started.into_iter().enumerate().flat_map(by).collect()
}
