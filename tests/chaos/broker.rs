//! Faults of the broker.

use std::time::Duration;

use crate::scenario::{Scenario, Setup};
use crate::stage::{Stage, load};

const GROUP: &str = "broker";
/// A lost connection is tried again within a second; the rest is what a node takes to serve.
const TRANSPORT: Duration = Duration::from_secs(10);

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        group: GROUP,
        name: "broker-stop-and-start",
        what: "the node is stopped in order and comes back",
        setup: Setup::Node(&[]),
        load: load(30),
        within: TRANSPORT,
        act: |stage| Box::pin(stop_and_start(stage)),
    },
    Scenario {
        group: GROUP,
        name: "broker-killed",
        what: "the node is killed (SIGKILL) and comes back",
        setup: Setup::Node(&[]),
        load: load(30),
        within: TRANSPORT,
        act: |stage| Box::pin(killed(stage)),
    },
];

async fn stop_and_start(stage: &mut Stage) {
    stage.expect_unready();
    stage.cause_begins();
    stage.node().stop().await;
    stage.node().start_again().await;
    stage.cause_ended();
}

async fn killed(stage: &mut Stage) {
    stage.expect_unready();
    stage.cause_begins();
    stage.node().kill().await;
    stage.node().start_again().await;
    stage.cause_ended();
}
