//! Faults of a cluster of three.

use std::time::Duration;

use leveret_tests::{Cluster, Node};

use crate::scenario::{Act, Load, Scenario, Setup};
use crate::stage::{Stage, load};

/// Longer than nodes take to give up one that went silent.
const AWAY: Duration = Duration::from_secs(15);
/// After an election on RabbitMQ 3.10 a channel may have to be left for another, which takes 5 to 15 seconds of silence first.
const ELECTION: Duration = Duration::from_secs(30);

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario(
        "cluster-leader-killed",
        "the leader of the queue is killed (SIGKILL) and stays away for 15 seconds",
        load(45),
        |stage| Box::pin(leader_killed(stage)),
    ),
    scenario(
        "cluster-connected-killed",
        "the node that the producer is connected to is killed (SIGKILL) and stays away for 15 seconds",
        load(45),
        |stage| Box::pin(connected_killed(stage)),
    ),
    scenario(
        "cluster-both-killed",
        "the leader and another node are killed (SIGKILL), and stay away for 15 seconds",
        load(50),
        |stage| Box::pin(both_killed(stage)),
    ),
    scenario(
        "cluster-leader-frozen",
        "the leader of the queue is frozen (SIGSTOP) for 15 seconds",
        load(40),
        |stage| Box::pin(leader_frozen(stage)),
    ),
    scenario(
        "cluster-leader-partitioned",
        "the leader of the queue and the other two do not hear of each other for 15 seconds; clients reach all three",
        load(40),
        |stage| Box::pin(leader_partitioned(stage)),
    ),
    scenario(
        "cluster-rolling-restart",
        "each node is stopped in order and started again, one after the other",
        load(90),
        |stage| Box::pin(rolling_restart(stage)),
    ),
    scenario(
        "cluster-quorum-lost",
        "two of three nodes are killed (SIGKILL), and come back after 20 seconds",
        load(50),
        |stage| Box::pin(quorum_lost(stage)),
    ),
];

const fn scenario(name: &'static str, what: &'static str, load: Load, act: Act) -> Scenario {
    Scenario {
        group: "cluster",
        name,
        what,
        setup: Setup::Cluster,
        load,
        within: ELECTION,
        act,
    }
}

/// The leader's place among the nodes, once the queue has a member on each.
async fn leader(stage: &Stage) -> usize {
    let queue = &stage.flow.queue;
    let cluster = stage.cluster();
    cluster.wait_for_members(queue).await;
    let leader = cluster.leader_of(queue).await.name();
    place(cluster, |node| node.name() == leader)
}

fn place(cluster: &Cluster, is: impl Fn(&Node) -> bool) -> usize {
    cluster.nodes().iter().position(is).expect("one of the three")
}

async fn leader_killed(stage: &mut Stage) {
    let leader = leader(stage).await;
    stage.cause_begins();
    stage.cluster().nodes()[leader].kill().await;
    stage.last(AWAY).await;
    stage.cluster().start_again().await;
    stage.cause_ended();
}

async fn connected_killed(stage: &mut Stage) {
    leader(stage).await;
    let connected = connected(stage).await;
    stage.cause_begins();
    stage.cluster().nodes()[connected].kill().await;
    stage.last(AWAY).await;
    stage.cluster().start_again().await;
    stage.cause_ended();
}

/// The place of the node that the producer publishes to.
async fn connected(stage: &Stage) -> usize {
    for (place, node) in stage.cluster().nodes().iter().enumerate() {
        let port = node.port().to_string();
        let listed = node
            .ctl(&["list_connections", "port", "client_properties", "--quiet"])
            .await;
        let listed = listed.unwrap_or_else(|error| panic!("{error}"));
        let ours = |line: &&str| line.starts_with(&port) && line.contains("soak-producer");
        if listed.lines().any(|line| ours(&line)) {
            return place;
        }
    }
    panic!("the producer is connected to none of the nodes")
}

async fn both_killed(stage: &mut Stage) {
    let leader = leader(stage).await;
    let connected = connected(stage).await;
    let other = if connected == leader {
        (leader + 1) % 3
    } else {
        connected
    };
    stage.cause_begins();
    for place in [leader, other] {
        stage.cluster().nodes()[place].kill().await;
    }
    stage.last(AWAY).await;
    stage.cluster().start_again().await;
    stage.cause_ended();
}

async fn leader_frozen(stage: &mut Stage) {
    let leader = leader(stage).await;
    stage.cause_begins();
    stage.cluster().nodes()[leader].pause();
    stage.last(AWAY).await;
    stage.cluster().nodes()[leader].resume();
    stage.cause_ended();
}

async fn leader_partitioned(stage: &mut Stage) {
    let leader = leader(stage).await;
    stage.cause_begins();
    stage.cluster().part(leader).await;
    stage.last(AWAY).await;
    stage.cluster().unite(leader).await;
    stage.cause_ended();
}

async fn rolling_restart(stage: &mut Stage) {
    leader(stage).await;
    stage.cause_begins();
    for place in 0..3 {
        let queue = stage.flow.queue.clone();
        stage.cluster().nodes()[place].restart().await;
        // As an operator would: the next node only when this one has caught up.
        stage.cluster().wait_for_members(&queue).await;
    }
    stage.cause_ended();
}

async fn quorum_lost(stage: &mut Stage) {
    let leader = leader(stage).await;
    stage.cause_begins();
    for place in [(leader + 1) % 3, (leader + 2) % 3] {
        stage.cluster().nodes()[place].kill().await;
    }
    stage.last(Duration::from_secs(20)).await;
    stage.cluster().start_again().await;
    stage.cause_ended();
}
