//! Clusters: one broker out of several nodes.

use std::time::Duration;

use lapin::options::BasicGetOptions;
use lapin::{Channel, Connection, ConnectionProperties};
use leveret_tests::signal::eventually_within;
use leveret_tests::{Cluster, Node};

use crate::node::declare_quorum;

/// An election follows the loss of a leader, and the list of queues follows that.
const ELECTION: Duration = Duration::from_secs(60);

async fn connect(node: &Node) -> (Connection, Channel) {
    let connection = Connection::connect(&node.amqp_url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_a_cluster_is_led_by_another_node_when_its_leader_is_killed() {
    // Given three nodes, and a queue that was made on the second and has a member on each
    let cluster = Cluster::start(3).await;
    let (_connection, channel) = connect(&cluster.nodes()[1]).await;
    declare_quorum(&channel, "kept").await;
    cluster.wait_for_members("kept").await;
    let leader = cluster.leader_of("kept").await;

    // When its leader is killed
    leader.kill().await;

    // Then another node leads it, and serves it
    let killed = leader.name();
    let is_led = async || cluster.find_leader_of("kept").await.is_some();
    eventually_within(ELECTION, "another node leads", is_led).await;
    let heir = cluster.leader_of("kept").await;
    assert_ne!(heir.name(), killed);
    let (_connection, channel) = connect(heir).await;
    let get = channel.basic_get("kept".into(), BasicGetOptions { no_ack: true });
    assert!(get.await.unwrap().is_none());

    // When it comes back, then the queue has all its members again
    cluster.start_again().await;
    cluster.wait_for_members("kept").await;
}
