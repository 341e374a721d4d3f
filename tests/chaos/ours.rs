//! Faults of our own processes, and of their neighbours.

use std::time::Duration;

use crate::scenario::{Scenario, Setup};
use crate::stage::{Stage, load};

const GROUP: &str = "ours";
const SOON: Duration = Duration::from_secs(10);

pub(crate) const SCENARIOS: &[Scenario] = &[
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
        load: load(20),
        within: SOON,
        act: |stage| Box::pin(worker_stopped(stage)),
    },
];

async fn producer_killed(stage: &mut Stage) {
    stage.cause_begins();
    stage.flow.kill_and_resume_producer().await;
    stage.cause_ended();
}

async fn worker_killed(stage: &mut Stage) {
    stage.cause_begins();
    for _ in 0..2 {
        stage.flow.kill_worker(0).await;
        stage.flow.add_worker(&[]);
        stage.last(Duration::from_secs(2)).await;
    }
    stage.cause_ended();
}

async fn worker_stopped(stage: &mut Stage) {
    stage.cause_begins();
    for _ in 0..2 {
        stage.flow.stop_worker(0).await;
        stage.flow.add_worker(&[]);
    }
    stage.cause_ended();
}
