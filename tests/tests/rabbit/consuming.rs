//! Consumers on a real channel.

use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use leveret::HeaderValue;
use leveret::broker::{BrokerErrorKind, Settlement};
use leveret_tests::shared;
use leveret_tests::signal::eventually;

use super::*;

#[tokio::test]
async fn no_ack_is_forgotten_when_a_cancelled_consumer_closes() {
    let session = session(&shared().await.amqp_url()).await;
    for _ in 0..5 {
        // Given a drained consumer of a quorum queue, with every delivery at hand
        let queue = declare(&*session, "acks", "quorum").await;
        fill(&*session, &queue, 200).await;
        let mut consumer = session.consume(&queue, 200).await.expect("a consumer");
        let mut leases = Vec::new();
        for _ in 0..200 {
            leases.push(delivery(&mut consumer).await.lease);
        }
        consumer.cancel().await.expect("cancelled");
        assert!(matches!(event(&mut consumer).await, ConsumerEvent::Cancelled));

        // When they are acked one by one, last first so that nothing can be told as one, and it closes
        for lease in leases.into_iter().rev() {
            consumer.settle(lease, Settlement::Ack).expect("its own lease");
            consumer.flush();
        }
        consumer.close().await;

        // Then none comes back
        let mut again = session.consume(&queue, 1).await.expect("a consumer");
        again.cancel().await.expect("cancelled");
        assert!(matches!(event(&mut again).await, ConsumerEvent::Cancelled));
    }
}

#[tokio::test]
async fn a_consumer_closes_in_order_without_a_cancel_before() {
    let session = session(&shared().await.amqp_url()).await;
    let queue = declare(&*session, "uncancelled", "quorum").await;
    fill(&*session, &queue, 3).await;
    let mut consumer = session.consume(&queue, 3).await.expect("a consumer");
    for settlement in [Settlement::Ack, Settlement::Requeue, Settlement::DeadLetter] {
        let lease = delivery(&mut consumer).await.lease;
        consumer.settle(lease, settlement).expect("its own lease");
    }

    consumer.close().await;

    let ready = async || session.inspect(&queue).await.expect("a depth").ready == 1;
    eventually("only what was requeued is there", ready).await;
}

#[tokio::test]
async fn a_foreign_message_keeps_its_headers_and_properties() {
    // Given a message with every type of header that RabbitMQ knows
    let url = shared().await.amqp_url();
    let session = session(&url).await;
    let queue = declare(&*session, "foreign", "classic").await;
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::Boolean(true));
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("bool", AMQPValue::Boolean(true)),
        ("i8", AMQPValue::ShortShortInt(-8)),
        ("u8", AMQPValue::ShortShortUInt(8)),
        ("i16", AMQPValue::ShortInt(-16)),
        ("i32", AMQPValue::LongInt(-32)),
        ("u32", AMQPValue::LongUInt(32)),
        ("i64", AMQPValue::LongLongInt(i64::MIN)),
        ("f32", AMQPValue::Float(0.5)),
        ("f64", AMQPValue::Double(0.25)),
        ("text", AMQPValue::LongString("häh".into())),
        ("binary", AMQPValue::LongString(LongString::from(vec![0xff, 0]))),
        ("time", AMQPValue::Timestamp(1_700_000_000)),
        (
            "list",
            AMQPValue::FieldArray(vec![AMQPValue::Void, AMQPValue::LongInt(1)].into()),
        ),
        ("table", AMQPValue::FieldTable(inner)),
    ] {
        headers.insert(name.into(), value);
    }
    let properties = BasicProperties::default()
        .with_type("order".into())
        .with_priority(3)
        .with_headers(headers);
    let foreign = Connection::connect(&url, ConnectionProperties::default())
        .await
        .expect("connected");
    let channel = foreign.create_channel().await.expect("a channel");
    let options = BasicPublishOptions::default();
    channel
        .basic_publish("".into(), queue.as_str().into(), options, b"{}", properties)
        .await
        .expect("sent");

    // When
    let mut consumer = session.consume(&queue, 2).await.expect("a consumer");
    let received = delivery(&mut consumer).await.message;

    // Then
    assert_eq!(received.properties.kind.as_deref(), Some("order"));
    assert_eq!(
        (received.properties.message_id.as_deref(), received.properties.priority),
        (None, Some(3))
    );
    let table = |items: Vec<(&str, HeaderValue)>| {
        items
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    };
    let expected: leveret::Headers = table(vec![
        ("bool", true.into()),
        ("i8", HeaderValue::Int(-8)),
        ("u8", HeaderValue::Int(8)),
        ("i16", HeaderValue::Int(-16)),
        ("i32", HeaderValue::Int(-32)),
        ("u32", HeaderValue::Int(32)),
        ("i64", HeaderValue::Int(i64::MIN)),
        ("f32", HeaderValue::Float(0.5)),
        ("f64", HeaderValue::Float(0.25)),
        ("text", "häh".into()),
        ("binary", HeaderValue::Bytes(vec![0xff, 0])),
        ("time", HeaderValue::Timestamp(1_700_000_000)),
        ("list", HeaderValue::List(vec![HeaderValue::Null, HeaderValue::Int(1)])),
        ("table", HeaderValue::Table(table(vec![("deep", true.into())]))),
    ]);
    assert_eq!(received.properties.headers, expected);

    // And what we publish of it comes back the same
    let mut publisher = session.publisher().await.expect("a publisher");
    publisher
        .publish(1, &Destination::queue(&queue), &received)
        .expect("sent");
    assert!(matches!(
        answer(&mut publisher).await,
        Answer::Settled { acked: true, .. }
    ));
    assert_eq!(delivery(&mut consumer).await.message, received);
}

#[tokio::test]
async fn a_deleted_queue_cancels_its_consumer_and_the_channel_lives_on() {
    // Given a consumer with one delivery of a queue that goes away
    let url = shared().await.amqp_url();
    let session = session(&url).await;
    let queue = declare(&*session, "deleted", "classic").await;
    fill(&*session, &queue, 1).await;
    let mut consumer = session.consume(&queue, 1).await.expect("a consumer");
    let held = delivery(&mut consumer).await;

    // When
    let operator = Connection::connect(&url, ConnectionProperties::default())
        .await
        .expect("connected");
    let channel = operator.create_channel().await.expect("a channel");
    channel
        .queue_delete(queue.as_str().into(), Default::default())
        .await
        .expect("deleted");

    // Then
    assert!(matches!(event(&mut consumer).await, ConsumerEvent::Cancelled));
    consumer.settle(held.lease, Settlement::Ack).expect("its own lease");
    consumer.close().await;
    assert_eq!(*session.health().borrow(), Health::Open);
}

#[tokio::test]
async fn consuming_a_missing_queue_is_not_found_and_costs_only_its_channel() {
    let session = session(&shared().await.amqp_url()).await;

    let error = session.consume("no such queue", 1).await.expect_err("no queue");

    assert_eq!(error.kind(), BrokerErrorKind::NotFound, "{error}");
    assert_eq!(*session.health().borrow(), Health::Open);
}
