//! Replicas in this process, each with connections of its own: orderly ends, a partition, a broker that dies.

use std::time::{Duration, Instant};

use leveret_tests::{Node, Proxy, shared};

use crate::kit::{Timetable, one_leads};

const HEARTBEAT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orderly_ends_hand_over_at_once_and_leave_no_copy() {
    // Given three replicas, the first of which leads
    let url = shared().await.amqp_url();
    let timetable = Timetable::new(&url, "orderly").await;
    let first = timetable.replica(&url, HEARTBEAT);
    first.leads().await;
    let second = timetable.replica(&url, HEARTBEAT);
    second.stands_by().await;
    let third = timetable.replica(&url, HEARTBEAT);
    third.stands_by().await;
    timetable.ticked(3).await;

    // When they end one after the other, each as soon as it has led for some ticks
    first.stop().await;
    second.leads().await;
    timetable.ticked(6).await;
    second.stop().await;
    third.leads().await;
    timetable.ticked(9).await;
    third.stop().await;

    // Then every tick is there exactly once
    timetable.reckoning().await.assert_complete(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_is_replaced_within_two_heartbeats() {
    // Given a leader behind a network of its own, and two replicas
    let heartbeat = Duration::from_secs(4);
    let node = shared().await;
    let (url, proxy) = (node.amqp_url(), Proxy::start(node.address()).await);
    let timetable = Timetable::new(&url, "partition").await;
    let cut_off = timetable.replica(&proxy.amqp_url(), heartbeat);
    cut_off.leads().await;
    let others = [timetable.replica(&url, heartbeat), timetable.replica(&url, heartbeat)];
    for other in &others {
        other.stands_by().await;
    }
    timetable.ticked(3).await;

    // When that network passes nothing on any more, in neither direction
    proxy.stall();
    let begun = Instant::now();

    // Then another leads within two heartbeats, and a moment for taking over on a busy machine
    one_leads(&others).await;
    let took = begun.elapsed();
    println!("another leader after {took:?}, heartbeat {heartbeat:?}");
    assert!(took < 2 * heartbeat + Duration::from_secs(2), "it took {took:?}");

    // When the network is whole again, then the first stands by, and every tick is there
    let before = timetable.depth().await;
    proxy.heal();
    cut_off.stands_by().await;
    timetable.ticked(before + 3).await;
    assert!(!cut_off.is_leading());
    let changes = 1;
    cut_off.stop().await;
    // The one that leads ends last, so that no other change comes in.
    let [a, b] = others;
    let (follower, leader) = if a.is_leading() { (b, a) } else { (a, b) };
    follower.stop().await;
    leader.stop().await;
    timetable.reckoning().await.assert_complete(changes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_whose_confirm_is_lost_is_there_twice_under_one_id() {
    // Given a leader behind a network of its own, between two ticks, and a replica
    let heartbeat = Duration::from_secs(2);
    let node = shared().await;
    let (url, proxy) = (node.amqp_url(), Proxy::start(node.address()).await);
    let timetable = Timetable::new(&url, "doubt").await;
    let leader = timetable.replica(&proxy.amqp_url(), heartbeat);
    leader.leads().await;
    let other = timetable.replica(&url, heartbeat);
    other.stands_by().await;
    timetable.ticked(1).await;
    leader.moves_on().await;
    timetable.baton_is_held().await;

    // When its network brings nothing back any more: what it publishes next is stored, and it does not hear of that
    proxy.stall_to_client();
    other.leads().await;

    // Then that tick is there twice, under one id, and every other once
    let before = timetable.depth().await;
    timetable.ticked(before + 2).await;
    proxy.heal();
    leader.stop().await;
    other.stop().await;
    timetable.reckoning().await.assert_extra(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_forgets_no_tick() {
    // Given two replicas at a broker of their own
    let node = Node::start().await;
    let url = node.amqp_url();
    let timetable = Timetable::new(&url, "broker").await;
    let replicas = [timetable.replica(&url, HEARTBEAT), timetable.replica(&url, HEARTBEAT)];
    one_leads(&replicas).await;
    timetable.ticked(2).await;
    node.flush_tables().await;

    // When the broker is killed and comes back
    node.kill().await;
    node.start_again().await;
    one_leads(&replicas).await;

    // Then the ticks of the outage are caught up with, and one at the most is there twice
    let before = timetable.depth().await;
    timetable.ticked(before + 3).await;
    let [a, b] = replicas;
    let (follower, leader) = if a.is_leading() { (b, a) } else { (a, b) };
    follower.stop().await;
    leader.stop().await;
    timetable.reckoning().await.assert_complete(1);
}
