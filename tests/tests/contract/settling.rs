//! Settling: what becomes of a delivery.

use leveret::broker::Settlement::{Ack, DeadLetter, Requeue};
use leveret::broker::{Argument, Lease};

use crate::fixture::{Fixture, unique};
use crate::steps::{
    connect, count, declare, deliveries, delivery, fill, holds, id, ids, is_ready, queue, quorum, settle, with_queue,
};

pub(crate) async fn an_acked_message_is_gone(fixture: &dyn Fixture) {
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["one"]).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();

    let held = delivery(&mut *consumer).await;
    settle(&mut *consumer, held, Ack);

    holds(fixture, &queue, 0, 0).await;
}

pub(crate) async fn a_requeued_message_comes_again_marked_and_counted(fixture: &dyn Fixture) {
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["one"]).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let counts = fixture.version().await.counts_nacks();

    for round in 0..4 {
        let delivery = delivery(&mut *consumer).await;
        assert_eq!(id(&delivery.message), "one");
        let counted = if counts { round } else { 0 };
        assert_eq!((delivery.redelivered, count(&delivery.message)), (round > 0, counted));
        settle(&mut *consumer, delivery, Requeue);
    }
}

/// Requeues the first of three messages with a prefetch of one, and says in which order all come then.
async fn order_after_a_requeue(fixture: &dyn Fixture, declaration: leveret::broker::Declaration) -> Vec<String> {
    let session = connect(fixture).await;
    let leveret::broker::Declaration::Queue(wanted) = &declaration else {
        panic!("a queue")
    };
    let queue = wanted.name.clone();
    declare(&*session, [declaration]).await;
    fill(&*session, &queue, ["a", "b", "c"]).await;
    let mut consumer = session.consume(&queue, 1).await.unwrap();
    let first = delivery(&mut *consumer).await;
    settle(&mut *consumer, first, Requeue);
    let mut order = Vec::new();
    for _ in 0..3 {
        let delivery = delivery(&mut *consumer).await;
        order.push(id(&delivery.message).to_owned());
        settle(&mut *consumer, delivery, Ack);
    }
    order
}

pub(crate) async fn requeued_messages_come_before_those_that_wait(fixture: &dyn Fixture) {
    let limited = quorum(&unique("queue"), [("x-delivery-limit", Argument::Int(9))]);
    assert_eq!(order_after_a_requeue(fixture, limited).await, ["a", "b", "c"]);
}

pub(crate) async fn a_queue_without_a_limit_puts_requeued_messages_last(fixture: &dyn Fixture) {
    let unlimited = quorum(&unique("queue"), []);
    let order = order_after_a_requeue(fixture, unlimited).await;
    match fixture.version().await.limits_deliveries_by_itself() {
        false => assert_eq!(order, ["b", "c", "a"]),
        true => assert_eq!(order, ["a", "b", "c"]),
    }
}

pub(crate) async fn a_classic_queue_puts_a_requeued_message_where_it_was(fixture: &dyn Fixture) {
    // Given a classic queue with two deliveries out
    let session = connect(fixture).await;
    let name = unique("classic");
    declare(&*session, [queue(&name, [])]).await;
    fill(&*session, &name, ["a", "b", "c"]).await;
    let mut consumer = session.consume(&name, 2).await.unwrap();
    let held = deliveries(&mut *consumer, 2).await;

    // When they are requeued the wrong way round and the consumer ends
    consumer.cancel().await.unwrap();
    for delivery in held.into_iter().rev() {
        settle(&mut *consumer, delivery, Requeue);
    }
    consumer.close().await;

    // Then they come in the old order, marked, with no count
    let mut next = session.consume(&name, 5).await.unwrap();
    let again = deliveries(&mut *next, 3).await;
    assert_eq!(ids(&again), ["a", "b", "c"]);
    assert_eq!(
        again.iter().map(|it| it.redelivered).collect::<Vec<_>>(),
        [true, true, false]
    );
    let counted = |it: &leveret::broker::Delivery| it.message.properties.headers.contains_key("x-delivery-count");
    assert!(!again.iter().any(counted));
}

pub(crate) async fn deliveries_are_settled_in_any_order(fixture: &dyn Fixture) {
    // Given five deliveries
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b", "c", "d", "e"]).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let mut held: Vec<_> = deliveries(&mut *consumer, 5).await.into_iter().map(Some).collect();

    // When the last, the first and the middle one are acked
    for index in [4, 0, 2] {
        settle(&mut *consumer, held[index].take().unwrap(), Ack);
    }

    // Then exactly the other two are left
    holds(fixture, &queue, 0, 2).await;
    drop(consumer);
    let mut next = session.consume(&queue, 5).await.unwrap();
    assert_eq!(ids(&deliveries(&mut *next, 2).await), ["b", "d"]);
}

pub(crate) async fn a_lease_of_another_consumer_comes_back(fixture: &dyn Fixture) {
    // Given two consumers on two sessions, each with its first delivery
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b"]).await;
    let mut mine = session.consume(&queue, 1).await.unwrap();
    let my_delivery = delivery(&mut *mine).await;
    let mut other = connect(fixture).await.consume(&queue, 1).await.unwrap();
    let other_delivery = delivery(&mut *other).await;

    // When a lease is used at the wrong one
    let lease: Lease = other.settle(my_delivery.lease, Ack).unwrap_err();
    other.flush();

    // Then nothing was settled, and the lease is still good where it belongs
    holds(fixture, &queue, 0, 2).await;
    mine.settle(lease, Ack).unwrap();
    mine.flush();
    holds(fixture, &queue, 0, 1).await;
    settle(&mut *other, other_delivery, Ack);
    holds(fixture, &queue, 0, 0).await;
}

pub(crate) async fn settling_in_any_mixture_leaves_nothing_unacked(fixture: &dyn Fixture) {
    // Given a thousand messages
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, (0..1000).map(|number| number.to_string())).await;
    let mut consumer = session.consume(&queue, 100).await.unwrap();

    // When they are settled in a random order, several in one flush, some of them requeued or dead-lettered once
    let mut random = fastrand::Rng::with_seed(7);
    let (mut held, mut done) = (Vec::new(), 0);
    while done < 1000 {
        let want = (1000 - done).min(100);
        while held.len() < want.min(random.usize(1..=100)) {
            held.push(delivery(&mut *consumer).await);
        }
        random.shuffle(&mut held);
        for delivery in held.split_off(random.usize(..=held.len())) {
            let settlement = match (delivery.redelivered, random.u8(..10)) {
                (false, 0) => Requeue,
                (_, 1) => DeadLetter,
                _ => Ack,
            };
            done += usize::from(settlement != Requeue);
            consumer.settle(delivery.lease, settlement).unwrap();
        }
        consumer.flush();
    }

    // Then nothing is left anywhere
    holds(fixture, &queue, 0, 0).await;
}

pub(crate) async fn closing_returns_what_was_not_settled(fixture: &dyn Fixture) {
    // Given three deliveries, one of them settled and not flushed
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b", "c"]).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let mut held = deliveries(&mut *consumer, 3).await;
    consumer.settle(held.remove(1).lease, Ack).unwrap();

    // When the consumer is cancelled and closed
    consumer.cancel().await.unwrap();
    consumer.close().await;

    // Then the other two come again
    is_ready(&*session, &queue, 2).await;
    let mut next = session.consume(&queue, 5).await.unwrap();
    let again = deliveries(&mut *next, 2).await;
    assert_eq!(ids(&again), ["a", "c"]);
    assert!(again.iter().all(|delivery| delivery.redelivered));
}

pub(crate) async fn closing_keeps_every_ack(fixture: &dyn Fixture) {
    // Given a queue that is consumed in many short turns
    let (session, queue) = with_queue(fixture).await;
    let (rounds, batch) = (20, 100);
    for round in 0..rounds {
        fill(&*session, &queue, (0..batch).map(|number| format!("{round}-{number}"))).await;
        let mut consumer = session.consume(&queue, 2000).await.unwrap();

        // When all is acked and the consumer closed at once
        for _ in 0..batch {
            let delivery = delivery(&mut *consumer).await;
            assert!(!delivery.redelivered, "an ack of the round before was lost");
            consumer.settle(delivery.lease, Ack).unwrap();
        }
        consumer.cancel().await.unwrap();
        consumer.close().await;

        // Then none of it comes back
        assert_eq!(session.inspect(&queue).await.unwrap().ready, 0, "round {round}");
    }
    holds(fixture, &queue, 0, 0).await;
}
