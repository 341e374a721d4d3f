//! Losses: connections and channels that end from the other side, and connections that are blocked.

use std::future::poll_fn;
use std::task::Poll;

use leveret::broker::Settlement::Ack;
use leveret::broker::{Answer, BrokerErrorKind, Destination, Health};
use leveret_tests::signal::{eventually, soon};

use crate::fixture::{Fixture, unique};
use crate::steps::{
    answer, connect, count, declare, deliveries, delivery, fill, holds, ids, is_ready, lost, message, publish, quorum,
    settle, with_queue,
};

pub(crate) async fn a_lost_connection_is_told_to_everyone_who_uses_it(fixture: &dyn Fixture) {
    // Given a session with two consumers and two publishers, one of which waits for nothing
    let (_, queue) = with_queue(fixture).await;
    let name = unique("doomed");
    let session = fixture.broker().connect(&name).await.unwrap();
    let mut consumers = [
        session.consume(&queue, 5).await.unwrap(),
        session.consume(&queue, 5).await.unwrap(),
    ];
    let mut publishers = [session.publisher().await.unwrap(), session.publisher().await.unwrap()];
    publish(&mut *publishers[0], &Destination::queue(&queue), &message("one")).await;

    // When the connection is cut
    fixture.cut(&name).await;

    // Then all four hear of it, and the session's health says so for good
    for consumer in &mut consumers {
        let error = loop {
            match crate::steps::event(&mut **consumer).await {
                leveret::broker::ConsumerEvent::Delivery(_) => {}
                leveret::broker::ConsumerEvent::Lost(error) => break error,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(error.kind(), BrokerErrorKind::Transport, "{error}");
    }
    for publisher in &mut publishers {
        let error = crate::publishing::lost(&mut **publisher).await;
        assert_eq!(error.kind(), BrokerErrorKind::Transport, "{error}");
    }
    let mut health = session.health();
    let closed = soon("the end", health.wait_for(|health| *health != Health::Open))
        .await
        .unwrap()
        .clone();
    let Health::Closed(error) = closed else {
        panic!("{closed:?}")
    };
    assert_eq!(error.kind(), BrokerErrorKind::Transport, "{error}");
    session.inspect(&queue).await.unwrap_err();
}

pub(crate) async fn what_a_lost_connection_held_comes_again(fixture: &dyn Fixture) {
    // Given three deliveries on a session, one acked and one taken
    let (healthy, queue) = with_queue(fixture).await;
    fill(&*healthy, &queue, ["a", "b", "c"]).await;
    let name = unique("doomed");
    let session = fixture.broker().connect(&name).await.unwrap();
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let mut held = deliveries(&mut *consumer, 2).await;
    settle(&mut *consumer, held.remove(0), Ack);
    holds(fixture, &queue, 0, 2).await;

    // When the connection is cut
    fixture.cut(&name).await;

    // Then the unsettled ones come again elsewhere, and settling them at the old place does nothing
    let mut next = healthy.consume(&queue, 5).await.unwrap();
    let again = deliveries(&mut *next, 2).await;
    assert_eq!(ids(&again), ["b", "c"]);
    assert!(
        again
            .iter()
            .all(|delivery| delivery.redelivered && count(&delivery.message) == 1)
    );
    for delivery in held {
        settle(&mut *consumer, delivery, Ack);
    }
    holds(fixture, &queue, 0, 2).await;
}

pub(crate) async fn a_lost_connection_leaves_others_alone(fixture: &dyn Fixture) {
    // Given two sessions
    let (healthy, queue) = with_queue(fixture).await;
    let mut consumer = healthy.consume(&queue, 5).await.unwrap();
    let name = unique("doomed");
    let doomed = fixture.broker().connect(&name).await.unwrap();

    // When one is cut
    fixture.cut(&name).await;
    let mut health = doomed.health();
    soon("the end", health.wait_for(|health| *health != Health::Open))
        .await
        .unwrap();

    // Then the other works on
    fill(&*healthy, &queue, ["one"]).await;
    assert_eq!(ids(&deliveries(&mut *consumer, 1).await), ["one"]);
    assert_eq!(*healthy.health().borrow(), Health::Open);
}

pub(crate) async fn a_channel_that_the_broker_closes_leaves_the_session_alone(fixture: &dyn Fixture) {
    // Given two consumers, one of which holds a delivery
    let (session, queue) = with_queue(fixture).await;
    let quiet = unique("quiet");
    declare(&*session, [quorum(&quiet, [])]).await;
    fill(&*session, &queue, ["one"]).await;
    let mut doomed = session.consume(&queue, 5).await.unwrap();
    let mut other = session.consume(&quiet, 5).await.unwrap();
    let held = delivery(&mut *doomed).await;

    // When the broker closes that one's channel
    fixture.close_channels_of(&queue).await;

    // Then it hears of it; what it held comes again; the other consumer and the session work
    let error = lost(&mut *doomed).await;
    assert_eq!(error.kind(), BrokerErrorKind::Protocol, "{error}");
    settle(&mut *doomed, held, Ack);
    let mut next = session.consume(&queue, 5).await.unwrap();
    let again = delivery(&mut *next).await;
    assert!(again.redelivered);
    settle(&mut *next, again, Ack);
    fill(&*session, &quiet, ["two"]).await;
    assert_eq!(ids(&deliveries(&mut *other, 1).await), ["two"]);
    assert_eq!(*session.health().borrow(), Health::Open);
}

pub(crate) async fn a_blocked_connection_says_so_and_answers_later(fixture: &dyn Fixture) {
    // Given one session that publishes and one that consumes
    let (publishing, queue) = with_queue(fixture).await;
    let consuming = connect(fixture).await;
    fill(&*publishing, &queue, ["before"]).await;
    let mut consumer = consuming.consume(&queue, 5).await.unwrap();
    let mut publisher = publishing.publisher().await.unwrap();

    // When an alarm is raised and something published
    fixture.set_alarm(true).await;
    let mut health = publishing.health();
    publisher
        .publish(1, &Destination::queue(&queue), &message("during"))
        .unwrap();
    let blocked = |health: &Health| matches!(health, Health::Blocked(reason) if !reason.is_empty());
    let is_blocked = async {
        tokio::select! {
            biased;
            blocked = health.wait_for(blocked) => drop(blocked.unwrap()),
            answer = answer(&mut *publisher) => panic!("{answer:?}"),
        }
    };
    soon("the connection is blocked", is_blocked).await;

    // Then the publish is not answered, while the other session goes on
    assert!(poll_fn(|cx| Poll::Ready(publisher.poll_answer(cx).is_pending())).await);
    let before = delivery(&mut *consumer).await;
    settle(&mut *consumer, before, Ack);
    eventually("it is acked", async || {
        consuming.inspect(&queue).await.unwrap().ready == 0
    })
    .await;
    assert_eq!(*consuming.health().borrow(), Health::Open);

    // When the alarm ends, then the publish is confirmed and delivered
    fixture.set_alarm(false).await;
    let confirmed = Answer::Settled {
        tag: 1,
        acked: true,
        returned: None,
    };
    assert_eq!(answer(&mut *publisher).await, confirmed);
    assert_eq!(ids(&deliveries(&mut *consumer, 1).await), ["during"]);
    soon("it is open again", health.wait_for(|health| *health == Health::Open))
        .await
        .unwrap();
}

pub(crate) async fn what_a_consumer_held_goes_back_in_order_however_it_ends(fixture: &dyn Fixture) {
    let healthy = connect(fixture).await;
    for end in ["closed", "dropped", "cut"] {
        // Given more messages than a quorum queue keeps in order when they are requeued one by one
        let (queue, all) = with_messages(&*healthy, 300).await;

        for _ in 0..2 {
            // When a consumer that holds the first 200 of them ends
            let name = unique("holding");
            let session = fixture.broker().connect(&name).await.unwrap();
            let mut consumer = session.consume(&queue, 200).await.unwrap();
            let held = deliveries(&mut *consumer, 200).await;
            match end {
                "closed" => consumer.close().await,
                "dropped" => drop(consumer),
                _ => fixture.cut(&name).await,
            }
            drop(held);
            is_ready(&*healthy, &queue, 300).await;
        }

        // Then all are there again, in their order
        let mut next = healthy.consume(&queue, 300).await.unwrap();
        assert!(ids(&deliveries(&mut *next, 300).await) == all, "{end}");
    }
}

pub(crate) async fn what_goes_back_stands_behind_what_went_back_before(fixture: &dyn Fixture) {
    // Given a quorum queue whose messages have all been back once
    let session = connect(fixture).await;
    let (queue, _) = with_messages(&*session, 4).await;
    let mut consumer = session.consume(&queue, 4).await.unwrap();
    drop(deliveries(&mut *consumer, 4).await);
    consumer.close().await;
    is_ready(&*session, &queue, 4).await;

    // When only the first two of them are held and go back
    let mut consumer = session.consume(&queue, 2).await.unwrap();
    drop(deliveries(&mut *consumer, 2).await);
    consumer.close().await;
    is_ready(&*session, &queue, 4).await;

    // Then they stand behind the others: whoever wants to keep the order has to hold all that were back before
    fill(&*session, &queue, ["fresh"]).await;
    let mut next = session.consume(&queue, 5).await.unwrap();
    assert_eq!(ids(&deliveries(&mut *next, 5).await), ["2", "3", "0", "1", "fresh"]);
}

/// A queue that keeps what is looked at, with so many messages in it, and their ids.
async fn with_messages(session: &dyn leveret::broker::Session, count: usize) -> (String, Vec<String>) {
    let queue = unique("queue");
    let limit = ("x-delivery-limit", leveret::broker::Argument::Int(1_000));
    declare(session, [quorum(&queue, [limit])]).await;
    let all: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    fill(session, &queue, &all).await;
    (queue, all)
}
