//! The operator's side, and what happens by itself as time goes by.

use std::time::Duration;

use leveret::broker::memory::MemoryBroker;
use leveret::broker::{Answer, Broker, BrokerErrorKind, ConsumerEvent, Destination, Health, Settlement};
use tokio::time::Instant;

use crate::{answer, answer_now, delivery, event, mail, message, quorum, settled, with_mail};

#[tokio::test]
async fn brokers_of_one_name_are_one_broker() {
    let session = with_mail(&MemoryBroker::named("one-broker")).await;

    assert!(MemoryBroker::named("one-broker").depth("mail").is_some());
    assert!(MemoryBroker::named("another").depth("mail").is_none());
    assert!(MemoryBroker::new().depth("mail").is_none());
    drop(session);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_was_kept_arrives_within_three_minutes_of_its_target() {
    // Given a dead letter without a target
    let broker = MemoryBroker::new();
    let session = with_mail(&broker).await;
    broker.publish_raw(&mail(), &message("one")).unwrap();
    let mut consumer = session.consume("mail", 1).await.unwrap();
    let held = delivery(&mut *consumer).await;
    consumer.settle(held.lease, Settlement::DeadLetter).unwrap();
    consumer.flush();
    assert_eq!(broker.depth("mail").unwrap().undelivered, 1);
    let start = Instant::now();

    // When the target appears and someone waits there
    session.declare(&[quorum("mail.dead", "nowhere")]).await.unwrap();
    let mut dead = session.consume("mail.dead", 1).await.unwrap();

    // Then it comes when the broker tries again, and not before
    assert_eq!(
        delivery(&mut *dead).await.message.properties.message_id.as_deref(),
        Some("one")
    );
    assert_eq!(start.elapsed(), Duration::from_secs(180));
    assert_eq!(broker.depth("mail").unwrap().undelivered, 0);
}

#[tokio::test(start_paused = true)]
async fn a_depth_can_be_waited_for() {
    // Given a task that waits for two messages
    let broker = MemoryBroker::new();
    let _session = with_mail(&broker).await;
    let waiting = tokio::spawn({
        let broker = broker.clone();
        async move { broker.wait_for_depth("mail", |depth| depth.ready == 2).await }
    });

    // When they come, then it goes on
    broker.publish_raw(&mail(), &message("one")).unwrap();
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    broker.publish_raw(&mail(), &message("two")).unwrap();
    assert_eq!(waiting.await.unwrap().ready, 2);
}

#[tokio::test]
async fn a_queue_can_be_read_and_purged() {
    // Given two messages
    let broker = MemoryBroker::new();
    let _session = with_mail(&broker).await;
    for id in ["one", "two"] {
        broker.publish_raw(&mail(), &message(id)).unwrap();
    }

    // When the queue is read, then they are in it, in order, and stay; purged, they are gone
    assert_eq!(broker.messages("mail"), [message("one"), message("two")]);
    assert_eq!(broker.queues(), ["mail"]);
    assert_eq!(broker.purge("mail"), 2);
    assert_eq!(broker.messages("mail"), []);
    assert!(broker.delete_queue("mail"));
    assert!(!broker.delete_queue("mail"));
}

#[tokio::test]
async fn a_foreign_publish_that_reaches_no_queue_is_an_error() {
    let broker = MemoryBroker::new();
    let _session = with_mail(&broker).await;
    let to = |exchange: &str, routing_key: &str| Destination {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
    };

    for (exchange, key) in [("", "nowhere"), ("nothing", "mail"), ("amq.topic", "mail")] {
        let error = broker.publish_raw(&to(exchange, key), &message("one")).unwrap_err();
        assert_eq!(error.kind(), BrokerErrorKind::NotFound, "{error}");
    }
}

#[tokio::test]
async fn connections_are_refused_until_they_are_accepted_again() {
    let broker = MemoryBroker::new();
    broker.refuse_connections(true);
    assert_eq!(
        broker.connect("a").await.unwrap_err().kind(),
        BrokerErrorKind::Transport
    );
    assert_eq!(broker.connections(), 0);

    broker.refuse_connections(false);
    let session = broker.connect("b").await.unwrap();
    assert_eq!(broker.connections(), 1);
    drop(session);
    assert_eq!(broker.connections(), 0);
}

#[tokio::test]
async fn consumers_that_are_cancelled_and_channels_that_are_killed_hear_of_it() {
    // Given a consumer of each of two queues and a publisher
    let broker = MemoryBroker::new();
    let session = with_mail(&broker).await;
    session.declare(&[quorum("other", "dead")]).await.unwrap();
    let mut mail = session.consume("mail", 5).await.unwrap();
    let mut other = session.consume("other", 5).await.unwrap();
    let mut publisher = session.publisher().await.unwrap();

    // When one is cancelled, then that one's channel killed, then all channels, then each hears its own
    broker.cancel_consumers("mail");
    assert!(matches!(event(&mut *mail).await, ConsumerEvent::Cancelled));
    broker.kill_channels_of("other");
    assert!(matches!(event(&mut *other).await, ConsumerEvent::Lost(_)));
    assert_eq!(answer_now(&mut *publisher).await, None);
    broker.kill_channels();
    assert!(matches!(answer(&mut *publisher).await, Answer::Lost(_)));
    assert_eq!(*session.health().borrow(), Health::Open);
}

#[tokio::test]
async fn what_a_blocked_connection_wrote_is_lost_with_it_or_read_when_the_alarm_ends() {
    // Given two blocked connections, each with a publish that was not read
    let broker = MemoryBroker::new();
    let session = with_mail(&broker).await;
    let doomed = broker.connect("doomed").await.unwrap();
    broker.block("low on memory");
    let mut kept = session.publisher().await.unwrap();
    let mut lost = doomed.publisher().await.unwrap();
    kept.publish(1, &mail(), &message("kept")).unwrap();
    lost.publish(2, &mail(), &message("lost")).unwrap();
    assert_eq!(*session.health().borrow(), Health::Blocked("low on memory".to_owned()));
    assert_eq!(broker.depth("mail").unwrap().ready, 0);

    // When one is cut and the alarm ends, then only the other's message is there
    broker.drop_connections_named("doomed");
    broker.unblock();
    assert!(matches!(answer(&mut *lost).await, Answer::Lost(_)));
    assert_eq!(answer(&mut *kept).await, settled(1, true));
    assert_eq!(broker.messages("mail"), [message("kept")]);
    assert_eq!(*session.health().borrow(), Health::Open);
}

#[tokio::test(start_paused = true)]
async fn a_command_on_a_blocked_connection_waits_and_gives_up_at_its_deadline() {
    // Given a blocked connection
    let broker = MemoryBroker::new();
    let session = with_mail(&broker).await;
    let mut publisher = session.publisher().await.unwrap();
    broker.block("low on memory");
    publisher.publish(1, &mail(), &message("one")).unwrap();

    // When the alarm outlasts the deadline, then a command times out; when it ends in time, it is answered
    assert_eq!(
        session.inspect("mail").await.unwrap_err().kind(),
        BrokerErrorKind::Timeout
    );
    let (depth, ()) = tokio::join!(session.inspect("mail"), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        broker.unblock();
    });
    assert_eq!(depth.unwrap().ready, 1);
}

#[tokio::test]
async fn debug_output_shows_depths_and_no_messages() {
    let broker = MemoryBroker::new();
    let _session = with_mail(&broker).await;
    let mut secret = message("one");
    secret.body = "{\"card\":4711}".into();
    broker.publish_raw(&mail(), &secret).unwrap();

    let shown = format!("{broker:?}");

    assert!(shown.contains("mail") && shown.contains("ready: 1"), "{shown}");
    assert!(!shown.contains("4711"), "{shown}");
}
