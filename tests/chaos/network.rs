//! Faults of the network.

use std::time::Duration;

use crate::scenario::{Scenario, Setup};
use crate::stage::{HEARTBEAT, Stage, load};

const GROUP: &str = "network";

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    group: GROUP,
    name: "network-black-hole",
    what: "nothing gets through in either direction, and nobody is told",
    setup: Setup::Proxied,
    load: load(30),
    within: Duration::from_secs(2 * HEARTBEAT.as_secs() + 5),
    act: |stage| Box::pin(black_hole(stage)),
}];

/// Longer than two heartbeats: by its end everybody knows.
const LONG: Duration = Duration::from_secs(3 * HEARTBEAT.as_secs());

async fn black_hole(stage: &mut Stage) {
    stage.expect_unready();
    stage.cause_begins();
    stage.proxy().stall();
    stage.last(LONG).await;
    stage.proxy().heal();
    stage.cause_ended();
}
