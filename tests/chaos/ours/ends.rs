//! A producer or workers that end, or begin, all at once.

use std::time::Duration;

use leveret_tests::signal::eventually_within;
use leveret_tests::soak::record::now;

use super::{GROUP, SOON};
use crate::scenario::{Load, Scenario, Setup, USUAL};
use crate::stage::{Stage, load};

/// More than two workers can do meanwhile: each has a job in every place when it is stopped.
const HEAVY: Load = Load {
    work_ms: "100-300",
    ..USUAL
};
const MANY: usize = 200;
/// Two cores of a busy machine start so many processes in this time, and the broker takes them in.
const ALL_READY: Duration = Duration::from_secs(120);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        group: GROUP,
        name: "producer-killed",
        what: "the producer is killed (SIGKILL) and started again with --resume",
        setup: Setup::Node(&[]),
        load: load(20),
        within: SOON,
        act: |stage| Box::pin(producer_killed(stage)),
    },
    Scenario {
        group: GROUP,
        name: "worker-killed",
        what: "both workers are killed (SIGKILL), one after the other, and others take their place",
        setup: Setup::Node(&[]),
        load: load(20),
        within: SOON,
        act: |stage| Box::pin(worker_killed(stage)),
    },
    Scenario {
        group: GROUP,
        name: "worker-stopped",
        what: "both workers are stopped in order (SIGTERM) under load, and others take their place",
        setup: Setup::Node(&[]),
        load: HEAVY.seconds(15),
        within: SOON,
        act: |stage| Box::pin(worker_stopped(stage)),
    },
    Scenario {
        group: GROUP,
        name: "workers-200-at-once",
        what: "200 workers start at once, each a process",
        setup: Setup::Node(&[]),
        load: load(40),
        within: SOON,
        act: |stage| Box::pin(many_workers(stage)),
    },
];

async fn producer_killed(stage: &mut Stage) {
    stage.allowed.dead = Some(0);
    stage.cause_begins();
    stage.flow.kill_and_resume_producer().await;
    stage.cause_ended();
}

async fn worker_killed(stage: &mut Stage) {
    stage.allowed.dead = Some(0);
    stage.cause_begins();
    for _ in 0..2 {
        stage.flow.kill_worker(0).await;
        stage.flow.add_worker(&[]);
        stage.last(Duration::from_secs(2)).await;
    }
    stage.cause_ended();
}

/// It ends with status 0, what it holds is done by then, and what it has not begun is not begun twice.
async fn worker_stopped(stage: &mut Stage) {
    stage.allowed.dead = Some(0);
    stage.allowed.once = true;
    stage.cause_begins();
    for number in 0..2 {
        stage.flow.add_worker(&[]);
        let asked = now();
        stage.flow.stop_worker(0).await;
        let ended = stage.flow.worked_by(number).into_iter();
        let after = ended.filter(|line| line.at > asked).count();
        stage.note(format!("one ended {after} jobs after it was asked to stop"));
        if after == 0 {
            stage.fault("a worker had nothing to do when it was stopped");
        }
    }
    stage.cause_ended();
}

async fn many_workers(stage: &mut Stage) {
    stage.allowed.dead = Some(0);
    stage.allowed.once = true;
    let before = stage.flow.states().len();
    stage.cause_begins();
    let began = tokio::time::Instant::now();
    for _ in 0..MANY {
        stage.flow.add_worker(&[]);
    }
    let ready = || {
        let states = stage.flow.states();
        let new = states.iter().skip(before);
        new.filter(|states| states.last().is_some_and(|(_, health)| health.starts_with("ready")))
            .count()
    };
    let all = format!("{MANY} workers are ready");
    eventually_within(ALL_READY, all, async || ready() == MANY).await;
    stage.note(format!("all ready after {:.0} s", began.elapsed().as_secs_f64()));
    stage.cause_ended();
}
