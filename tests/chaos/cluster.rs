//! Faults of a cluster of three.

use std::time::Duration;

use crate::scenario::{Scenario, Setup};
use crate::stage::{Stage, load};

const GROUP: &str = "cluster";

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    group: GROUP,
    name: "cluster-leader-killed",
    what: "the leader of the queue is killed (SIGKILL) and stays away for 15 seconds",
    setup: Setup::Cluster,
    load: load(40),
    within: Duration::from_secs(30),
    act: |stage| Box::pin(leader_killed(stage)),
}];

async fn leader_killed(stage: &mut Stage) {
    let queue = stage.flow.queue.clone();
    stage.cluster().wait_for_members(&queue).await;
    stage.cause_begins();
    let leader = stage.cluster().leader_of(&queue).await;
    leader.kill().await;
    stage.last(Duration::from_secs(15)).await;
    stage.cluster().start_again().await;
    stage.cause_ended();
}
