//! Consuming: who gets what, and how a stream ends.

use leveret::Message;
use leveret::broker::Settlement::Ack;
use leveret::broker::{BrokerErrorKind, ConsumerEvent, Destination, Health};

use leveret_tests::signal::eventually;

use crate::fixture::{Fixture, unique};
use crate::steps::{
    connect, count, declare, deliveries, delivery, event, fill, holds, id, ids, is_quiet, is_ready, quorum, settle,
    with_queue,
};

pub(crate) async fn consuming_a_missing_queue_is_not_found_and_the_session_lives_on(fixture: &dyn Fixture) {
    // Given a session
    let session = connect(fixture).await;
    let missing = unique("missing");

    // When a queue is consumed that is not there
    let error = session.consume(&missing, 5).await.unwrap_err();

    // Then the error names it, and the session works
    assert_eq!(error.kind(), BrokerErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains(&missing), "{error}");
    declare(&*session, [quorum(&missing, [])]).await;
    session.consume(&missing, 5).await.unwrap();
}

pub(crate) async fn prefetch_limits_the_unsettled_deliveries(fixture: &dyn Fixture) {
    // Given more messages than the prefetch
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b", "c", "d", "e"]).await;
    let mut consumer = session.consume(&queue, 3).await.unwrap();
    let mut held = deliveries(&mut *consumer, 3).await;
    holds(fixture, &queue, 2, 3).await;
    assert!(is_quiet(&mut *consumer).await, "more than the prefetch");

    // When one is settled, then exactly one more comes
    settle(&mut *consumer, held.remove(1), Ack);
    held.push(delivery(&mut *consumer).await);
    assert_eq!(ids(&held), ["a", "c", "d"]);
    holds(fixture, &queue, 1, 3).await;
    assert!(is_quiet(&mut *consumer).await, "more than the prefetch");
}

pub(crate) async fn consumers_are_served_in_turn(fixture: &dyn Fixture) {
    // Given two idle consumers
    let (session, queue) = with_queue(fixture).await;
    let mut first = session.consume(&queue, 10).await.unwrap();
    let mut second = session.consume(&queue, 10).await.unwrap();

    // When four messages come, then each gets two
    fill(&*session, &queue, ["a", "b", "c", "d"]).await;
    let of_first = deliveries(&mut *first, 2).await;
    let of_second = deliveries(&mut *second, 2).await;
    let mut all = [ids(&of_first), ids(&of_second)].concat();
    all.sort_unstable();
    assert_eq!(all, ["a", "b", "c", "d"]);
}

pub(crate) async fn a_first_delivery_is_not_redelivered(fixture: &dyn Fixture) {
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["one"]).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();

    let delivery = delivery(&mut *consumer).await;

    assert!(!delivery.redelivered);
    assert_eq!(count(&delivery.message), 0);
}

pub(crate) async fn a_message_that_has_only_a_body_is_delivered(fixture: &dyn Fixture) {
    // Given a message of a foreign program that sets nothing
    let (session, queue) = with_queue(fixture).await;
    let bare = Message {
        body: "{}".into(),
        ..Message::default()
    };
    fixture.publish_raw(&Destination::queue(&queue), &bare).await;

    // When it is consumed, then there is its body and nothing else
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let mut arrived = delivery(&mut *consumer).await.message;
    arrived.properties.headers.remove("x-delivery-count");
    assert_eq!(arrived, bare);
}

pub(crate) async fn after_a_cancel_comes_what_was_sent_before_and_then_the_end(fixture: &dyn Fixture) {
    // Given a consumer to which four messages were sent, one of them taken
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b", "c", "d", "e"]).await;
    let mut consumer = session.consume(&queue, 4).await.unwrap();
    let first = delivery(&mut *consumer).await;
    holds(fixture, &queue, 1, 4).await;

    // When it is cancelled
    consumer.cancel().await.unwrap();

    // Then the other three still come, then the end
    let rest = deliveries(&mut *consumer, 3).await;
    assert_eq!([id(&first.message)], ["a"]);
    assert_eq!(ids(&rest), ["b", "c", "d"]);
    assert!(matches!(event(&mut *consumer).await, ConsumerEvent::Cancelled));

    // When all are settled, then the queue has no consumer any more
    for held in rest.into_iter().chain([first]) {
        settle(&mut *consumer, held, Ack);
    }
    let has_none = async || session.inspect(&queue).await.unwrap().consumers == 0;
    eventually("the queue has no consumer", has_none).await;
}

pub(crate) async fn what_is_published_after_a_cancel_stays_in_the_queue(fixture: &dyn Fixture) {
    // Given a cancelled consumer that has room
    let (session, queue) = with_queue(fixture).await;
    let mut consumer = session.consume(&queue, 10).await.unwrap();
    consumer.cancel().await.unwrap();

    // When a message comes, then it stays
    fill(&*session, &queue, ["one"]).await;
    assert!(matches!(event(&mut *consumer).await, ConsumerEvent::Cancelled));
    holds(fixture, &queue, 1, 0).await;
}

pub(crate) async fn held_deliveries_are_settled_after_a_cancel(fixture: &dyn Fixture) {
    // Given a cancelled consumer that holds two deliveries
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b"]).await;
    let mut consumer = session.consume(&queue, 10).await.unwrap();
    let held = deliveries(&mut *consumer, 2).await;
    consumer.cancel().await.unwrap();

    // When they are settled, then they are gone, with the channel still open
    for delivery in held {
        settle(&mut *consumer, delivery, Ack);
    }
    holds(fixture, &queue, 0, 0).await;
}

pub(crate) async fn cancelling_twice_is_harmless(fixture: &dyn Fixture) {
    let (session, queue) = with_queue(fixture).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();

    consumer.cancel().await.unwrap();
    consumer.cancel().await.unwrap();

    assert!(matches!(event(&mut *consumer).await, ConsumerEvent::Cancelled));
    assert_eq!(*session.health().borrow(), Health::Open);
}

pub(crate) async fn a_deleted_queue_cancels_its_consumers(fixture: &dyn Fixture) {
    // Given a consumer that holds a delivery
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["one"]).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let held = delivery(&mut *consumer).await;

    // When the queue is deleted under it
    fixture.delete_queue(&queue).await;

    // Then it is cancelled; settling what it holds and closing it do no harm
    assert!(matches!(event(&mut *consumer).await, ConsumerEvent::Cancelled));
    settle(&mut *consumer, held, Ack);
    consumer.cancel().await.unwrap();
    consumer.close().await;
    declare(&*session, [quorum(&queue, [])]).await;
    is_ready(&*session, &queue, 0).await;
    assert_eq!(*session.health().borrow(), Health::Open);
}

pub(crate) async fn a_dropped_consumer_returns_what_it_held(fixture: &dyn Fixture) {
    // Given a consumer with deliveries, taken and not taken
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b", "c"]).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let _taken = delivery(&mut *consumer).await;

    // When it is dropped
    drop(consumer);

    // Then all come again, in order, on the same session
    let mut next = session.consume(&queue, 5).await.unwrap();
    let again = deliveries(&mut *next, 3).await;
    assert_eq!(ids(&again), ["a", "b", "c"]);
    assert!(
        again
            .iter()
            .all(|delivery| delivery.redelivered && count(&delivery.message) == 1)
    );
}
