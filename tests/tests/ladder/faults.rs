//! Restarts, killed nodes, deleted queues.

use std::collections::BTreeSet;
use std::time::Duration;

use leveret::topology::Topology;
use leveret_tests::signal::eventually;
use leveret_tests::{Cluster, Node, shared, taker};

use crate::kit::*;

/// A busy machine takes its time with three nodes and thirty queues.
const PATIENCE: Duration = Duration::from_secs(240);

/// How many messages a level has on the way to the next at once; those whose arrival it did not learn of before it ended are sent twice.
const ON_THE_WAY: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_outlives_a_restart_of_its_node() {
    // Given jobs in the ladder, of which some are due while the node is away
    let node = Node::start().await;
    let rabbit = connect(&node.amqp_url(), "leveret").await;
    let (queue, book) = (own_queue("restarted"), Book::new());
    let running = Running::start(&rabbit, &queue, &book).await;
    let mut rng = fastrand::Rng::with_seed(7);
    let waits = (0..1_000).map(|number| (number, Duration::from_millis(rng.u64(2_000..20_000))));
    enqueue(&rabbit, &queue, waits).await;
    book.notes.wait_for(50).await;

    // When it is restarted
    node.restart().await;
    book.notes.wait_for_within(PATIENCE, 1_000).await;

    // Then all arrive, none early; only what was on the way between two levels may arrive twice
    assert!(running.stop().await.is_clean());
    let reckoning = book.reckon(0..1_000);
    println!("{reckoning}");
    assert!(reckoning.unannounced <= 9 * ON_THE_WAY, "{reckoning}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_survives_the_kill_of_the_ladder_s_node() {
    // Given a ladder with a member on each of three nodes, and jobs in it
    let cluster = Cluster::start(3).await;
    let rabbit = connect(&cluster.amqp_url(), "leveret").await;
    let (queue, book) = (own_queue("killed"), Book::new());
    rabbit.declare_with_delays(&queue).await.expect("declared");
    for level in Topology::new("leveret").delay_queues().take(9) {
        cluster.wait_for_members(&level).await;
    }
    cluster.wait_for_members(queue.name()).await;
    let running = Running::start(&rabbit, &queue, &book).await;
    let mut rng = fastrand::Rng::with_seed(7);
    let waits = (0..1_000).map(|number| (number, Duration::from_millis(rng.u64(2_000..20_000))));
    enqueue(&rabbit, &queue, waits).await;
    book.notes.wait_for(50).await;

    // When the node that leads it is killed
    let leader = cluster.leader_of("leveret.delay.v1.05").await;
    let waits_for_it = leader.version().await.expired_may_wait_for_a_killed_leader();
    leader.kill().await;
    println!("{} notes had arrived before the kill", book.notes.count());
    if waits_for_it {
        cluster.start_again().await;
        println!("{} when the node was back", book.notes.count());
    }
    book.notes.wait_for_within(PATIENCE, 1_000).await;

    // Then all arrive, none early; only what was on the way between two levels may arrive twice
    assert!(running.stop().await.is_clean());
    let reckoning = book.reckon(0..1_000);
    println!("{reckoning}");
    assert!(reckoning.unannounced <= 9 * ON_THE_WAY, "{reckoning}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_whose_queue_was_deleted_while_they_waited_are_all_among_the_lost() {
    // Given jobs of two queues that wait
    let rabbit = connect(&shared().await.amqp_url(), "deleted").await;
    let (doomed, other, book) = (own_queue("doomed"), own_queue("other"), Book::new());
    let running = Running::start(&rabbit, &other, &book).await;
    let waits = |numbers: std::ops::Range<u64>| numbers.map(|number| (number, Duration::from_millis(20_000 + number)));
    enqueue(&rabbit, &doomed, waits(0..200)).await;
    enqueue(&rabbit, &other, waits(200..400)).await;

    // When one of the queues is deleted
    let ctl = shared().await.ctl(&["delete_queue", doomed.name()]).await;
    ctl.expect("deleted");

    // Then its jobs, and no others, are among the lost, each once, and those of the other queue arrive
    let lost = Topology::new("deleted").lost_queue();
    book.notes.wait_for_within(PATIENCE, 200).await;
    eventually("200 lost jobs", async || taker::depth(&rabbit, &lost).await >= 200).await;
    assert!(running.stop().await.is_clean());
    assert_eq!(book.reckon(200..400).repeated, 0);
    let lost = taker::take_all(&rabbit, &lost).await;
    let ids: BTreeSet<String> = lost
        .iter()
        .filter_map(|lost| lost.properties.message_id.clone().map(String::from))
        .collect();
    assert_eq!(
        (lost.len(), ids),
        (200, (0..200).map(|number| number.to_string()).collect())
    );

    // And the next one makes the queue anew
    let (book, again) = (Book::new(), connect(&shared().await.amqp_url(), "deleted").await);
    enqueue(&again, &doomed, [(1, Duration::from_millis(300))]).await;
    let running = Running::start(&rabbit, &doomed, &book).await;
    book.notes.wait_for(1).await;
    assert!(running.stop().await.is_clean());
}
