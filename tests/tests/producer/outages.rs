//! What was accepted survives any number of lost connections, and is resent first and in order.

use std::collections::BTreeSet;

use leveret_tests::{Node, Proxy, shared};

use super::*;

/// The order in which numbers came for the first time.
fn first_occurrences(numbers: &[usize]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    numbers.iter().copied().filter(|number| seen.insert(*number)).collect()
}

#[tokio::test]
async fn jobs_accepted_while_the_broker_is_killed_and_restarted_are_all_stored_in_order() {
    // Given
    let node = Node::start().await;
    let producer = connect(&node.amqp_url()).await;
    let queue = own_queue("killed");
    make(&producer, &queue).await;
    node.flush_tables().await;

    // When the broker is killed in the midst of 6,000 enqueues
    let mut pending = Vec::new();
    for number in 0..6_000 {
        if number == 2_000 {
            node.kill_at_once();
        }
        pending.push(
            producer
                .enqueue(Note::new(number))
                .queue(&queue)
                .submit()
                .await
                .expect("accepted"),
        );
    }
    node.start_again().await;
    for pending in pending {
        pending.await.expect("confirmed by the restarted broker");
    }

    // Then every job is there, for the first time in the order of the calls, and every copy says that it is one
    let messages = leveret_tests::taker::take_all(producer.rabbit(), queue.name()).await;
    let mut seen = BTreeSet::new();
    for message in &messages {
        let fresh = seen.insert(message.properties.message_id.clone());
        assert!(
            fresh || message.properties.headers.contains_key("leveret-resent"),
            "an unexplained duplicate"
        );
    }
    let numbers: Vec<usize> = messages
        .iter()
        .map(|message| serde_json::from_slice::<Note>(&message.body).expect("a note").number)
        .collect();
    assert_eq!(first_occurrences(&numbers), (0..6_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_order_of_each_queue_survives_connections_that_break_again_and_again() {
    // Given
    let proxy = Proxy::start(shared().await.address()).await;
    let producer = connect(&proxy.amqp_url()).await;
    let queues = [own_queue("a"), own_queue("b")];
    for queue in &queues {
        make(&producer, queue).await;
    }

    // When the connection is cut ten times, also in the middle of a frame
    let mut pending = Vec::new();
    for number in 0..8_000 {
        if number % 800 == 799 {
            if number % 1_600 == 799 {
                proxy.cut().await
            } else {
                proxy.cut_after(777)
            }
        }
        let enqueue = producer.enqueue(Note::new(number)).queue(&queues[number % 2]);
        pending.push(enqueue.submit().await.expect("accepted"));
    }
    for pending in pending {
        pending.await.expect("confirmed");
    }

    // Then
    for (parity, queue) in queues.iter().enumerate() {
        let numbers = numbers_in(producer.rabbit(), queue).await;
        assert_eq!(
            first_occurrences(&numbers),
            (0..8_000).filter(|n| n % 2 == parity).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_producer_that_starts_before_its_broker_delivers_when_it_comes() {
    // Given a broker that cannot be reached
    let proxy = Proxy::start(shared().await.address()).await;
    proxy.refuse().await;
    let rabbit = Rabbit::start(options(&proxy.amqp_url())).expect("valid options");
    let queue = own_queue("early");
    let pending = rabbit
        .producer()
        .enqueue(Note::new(1))
        .queue(&queue)
        .submit()
        .await
        .expect("accepted");

    // When
    proxy.accept().await;

    // Then
    pending.await.expect("confirmed");
    assert_eq!(numbers_in(&rabbit, &queue).await, [1]);
}

#[tokio::test]
async fn a_blocked_broker_makes_enqueues_wait_and_shows_as_blocked() {
    // Given a broker with a memory alarm
    let node = Node::start().await;
    let producer = connect(&node.amqp_url()).await;
    let queue = own_queue("blocked");
    make(&producer, &queue).await;
    node.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"])
        .await
        .expect("set");

    // When
    let mut pending = Vec::new();
    for number in 0..100 {
        pending.push(
            producer
                .enqueue(Note::new(number))
                .queue(&queue)
                .submit()
                .await
                .expect("accepted"),
        );
    }
    let mut state = producer.rabbit().publishing().state();
    let blocked = state.wait_for(leveret::runtime::LinkState::is_blocked);
    leveret_tests::signal::soon("the alarm shows", blocked)
        .await
        .expect("the link lives");
    node.ctl(&["set_vm_memory_high_watermark", "0.4"]).await.expect("set");

    // Then all goes through, in order, once
    for pending in pending {
        pending.await.expect("confirmed");
    }
    assert_eq!(
        numbers_in(producer.rabbit(), &queue).await,
        (0..100).collect::<Vec<_>>()
    );
}
