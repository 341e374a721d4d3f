//! Leading: one active consumer at a time, and a channel that consumes and publishes.

use leveret::broker::Settlement::{Ack, Requeue};
use leveret::broker::{Answer, Argument, BrokerErrorKind, ConsumerEvent, Declaration, Destination, Duplex, Session};

use crate::fixture::{Fixture, unique};
use crate::publishing;
use crate::steps::{
    answer, connect, declare, deliveries, delivery, event, fill, id, ids, is_quiet, is_ready, lost, message, publish,
    quorum, settle, to,
};

/// As the queue of a schedule: a limit that is never reached, so that what comes back comes first.
fn single(name: &str) -> Declaration {
    let arguments = [
        ("x-single-active-consumer", Argument::Bool(true)),
        ("x-delivery-limit", Argument::Int(2_147_483_647)),
    ];
    quorum(name, arguments)
}

async fn single_queue(session: &dyn Session) -> String {
    let queue = unique("single");
    declare(session, [single(&queue)]).await;
    queue
}

async fn duplex(session: &dyn Session, queue: &str) -> Duplex {
    session.duplex(queue, 10).await.unwrap()
}

pub(crate) async fn only_the_oldest_consumer_of_a_single_active_queue_is_served(fixture: &dyn Fixture) {
    // Given two consumers of such a queue
    let session = connect(fixture).await;
    let queue = single_queue(&*session).await;
    let mut first = session.consume(&queue, 2).await.unwrap();
    let mut second = session.consume(&queue, 2).await.unwrap();

    // When more messages come than the first may hold
    fill(&*session, &queue, ["a", "b", "c"]).await;
    let mut held = deliveries(&mut *first, 2).await;

    // Then the rest waits for it, although the second is idle
    is_ready(&*session, &queue, 1).await;
    assert!(is_quiet(&mut *second).await, "the second was served");
    settle(&mut *first, held.remove(0), Ack);
    held.push(delivery(&mut *first).await);
    assert_eq!(ids(&held), ["b", "c"]);
    assert!(is_quiet(&mut *second).await, "the second was served");
}

pub(crate) async fn when_the_active_consumer_s_channel_goes_the_next_gets_what_it_held_first(fixture: &dyn Fixture) {
    // Given an active consumer that holds a message, one that waits, and a message behind the first
    let (session, other) = (connect(fixture).await, connect(fixture).await);
    let queue = single_queue(&*session).await;
    let mut active = session.consume(&queue, 1).await.unwrap();
    let mut next = other.consume(&queue, 10).await.unwrap();
    fill(&*session, &queue, ["held", "behind"]).await;
    let _held = delivery(&mut *active).await;
    is_ready(&*session, &queue, 1).await;

    // When its connection ends
    session.close().await;

    // Then the other gets all of it, in order
    let got = deliveries(&mut *next, 2).await;
    assert_eq!(ids(&got), ["held", "behind"]);
    assert!(got[0].redelivered && !got[1].redelivered);
}

pub(crate) async fn a_cancelled_active_consumer_hands_over(fixture: &dyn Fixture) {
    // Given an active consumer that has given back what it held
    let session = connect(fixture).await;
    let queue = single_queue(&*session).await;
    let mut active = session.consume(&queue, 1).await.unwrap();
    let mut next = session.consume(&queue, 1).await.unwrap();
    fill(&*session, &queue, ["one"]).await;
    let held = delivery(&mut *active).await;

    // When it is cancelled and settles
    active.cancel().await.unwrap();
    settle(&mut *active, held, Requeue);

    // Then the next gets it
    assert_eq!(id(&delivery(&mut *next).await.message), "one");
}

pub(crate) async fn whether_a_queue_has_a_single_active_consumer_cannot_be_changed(fixture: &dyn Fixture) {
    // Given such a queue
    let session = connect(fixture).await;
    let queue = single_queue(&*session).await;

    // When it is declared again, then equal is right and without the argument is a mismatch
    declare(&*session, [single(&queue)]).await;
    let other = quorum(&queue, [("x-delivery-limit", Argument::Int(2_147_483_647))]);
    let (_, error) = connect(fixture).await.declare(&[other]).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Mismatch, "{error}");
    let expected = format!(
        "inequivalent arg 'x-single-active-consumer' for queue '{queue}' in vhost '/': \
         received none but current is the value 'true' of type 'bool'"
    );
    assert!(error.to_string().contains(&expected), "{error}");
}

pub(crate) async fn one_channel_consumes_and_publishes(fixture: &dyn Fixture) {
    // Given a channel of both kinds
    let session = connect(fixture).await;
    let queue = single_queue(&*session).await;
    let mut both = duplex(&*session, &queue).await;

    // When it publishes to the queue that it consumes, and elsewhere
    let stored = publish(&mut *both.publisher, &Destination::queue(&queue), &message("baton")).await;
    let nowhere = Destination::queue(unique("nowhere"));
    let returned = publish(&mut *both.publisher, &nowhere, &message("lost")).await;

    // Then each is answered as on a channel for publishing, and what it stored comes to it
    assert_eq!(stored, (true, None));
    assert_eq!(returned, (true, Some("lost".to_owned())));
    let baton = delivery(&mut *both.consumer).await;
    assert_eq!(id(&baton.message), "baton");
    settle(&mut *both.consumer, baton, Ack);
    both.consumer.close().await;
    is_ready(&*session, &queue, 0).await;
}

pub(crate) async fn a_publish_that_loses_the_channel_loses_its_consumer_as_well(fixture: &dyn Fixture) {
    // Given a leader that holds a message, and a consumer that waits
    let (session, other) = (connect(fixture).await, connect(fixture).await);
    let queue = single_queue(&*session).await;
    let mut leader = duplex(&*session, &queue).await;
    let mut next = other.consume(&queue, 10).await.unwrap();
    fill(&*other, &queue, ["baton"]).await;
    let _held = delivery(&mut *leader.consumer).await;

    // When it publishes what the broker closes channels for
    let missing = to(&unique("missing"), "anything");
    leader.publisher.publish(1, &missing, &message("fatal")).unwrap();

    // Then both halves are lost, and the one that waited leads
    publishing::lost(&mut *leader.publisher).await;
    lost(&mut *leader.consumer).await;
    assert_eq!(id(&delivery(&mut *next).await.message), "baton");
}

pub(crate) async fn a_lost_connection_ends_both_halves_of_a_channel(fixture: &dyn Fixture) {
    // Given a leader
    let session = connect(fixture).await;
    let queue = single_queue(&*session).await;
    let mut leader = duplex(&*session, &queue).await;

    // When its connection is gone, then both halves say so, and what it publishes is not stored
    session.close().await;
    lost(&mut *leader.consumer).await;
    let _ = leader
        .publisher
        .publish(1, &Destination::queue(&queue), &message("late"));
    assert!(matches!(answer(&mut *leader.publisher).await, Answer::Lost(_)));
    is_ready(&*connect(fixture).await, &queue, 0).await;
}

pub(crate) async fn closing_the_consuming_half_closes_the_channel(fixture: &dyn Fixture) {
    // Given a leader that holds a message
    let session = connect(fixture).await;
    let queue = single_queue(&*session).await;
    let mut leader = duplex(&*session, &queue).await;
    fill(&*session, &queue, ["baton"]).await;
    let _held = delivery(&mut *leader.consumer).await;

    // When it closes
    leader.consumer.close().await;

    // Then what it publishes is not stored, and what it held is there for the next
    let _ = leader
        .publisher
        .publish(1, &Destination::queue(unique("nowhere")), &message("late"));
    assert!(matches!(answer(&mut *leader.publisher).await, Answer::Lost(_)));
    let mut next = session.consume(&queue, 10).await.unwrap();
    assert!(matches!(event(&mut *next).await, ConsumerEvent::Delivery(baton) if baton.redelivered));
}
