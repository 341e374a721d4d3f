//! The steps that the promises share.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use leveret::broker::{
    Answer, Argument, Binding, BrokerError, Consumer, ConsumerEvent, Declaration, Delivery, Destination, Exchange,
    ExchangeBinding, ExchangeKind, Publisher, QueueDeclaration, Session, Settlement,
};
use leveret::{HeaderValue, Message};
use leveret_tests::signal::{eventually, soon};

use crate::fixture::{Fixture, unique};

pub(crate) async fn connect(fixture: &dyn Fixture) -> Arc<dyn Session> {
    fixture.broker().connect(&unique("contract")).await.unwrap()
}

/// A session and a quorum queue.
pub(crate) async fn with_queue(fixture: &dyn Fixture) -> (Arc<dyn Session>, String) {
    let session = connect(fixture).await;
    let queue = unique("queue");
    declare(&*session, [quorum(&queue, [])]).await;
    (session, queue)
}

pub(crate) async fn declare(session: &dyn Session, declarations: impl IntoIterator<Item = Declaration>) {
    let declarations: Vec<_> = declarations.into_iter().collect();
    session.declare(&declarations).await.unwrap();
}

pub(crate) fn text(value: &str) -> Argument {
    Argument::Text(value.to_owned())
}

pub(crate) fn queue<const N: usize>(name: &str, arguments: [(&str, Argument); N]) -> Declaration {
    Declaration::Queue(QueueDeclaration {
        name: name.to_owned(),
        arguments: named(arguments),
    })
}

pub(crate) fn quorum<const N: usize>(name: &str, arguments: [(&str, Argument); N]) -> Declaration {
    let mut arguments = named(arguments);
    arguments.insert("x-queue-type".to_owned(), text("quorum"));
    Declaration::Queue(QueueDeclaration {
        name: name.to_owned(),
        arguments,
    })
}

fn named<const N: usize>(arguments: [(&str, Argument); N]) -> BTreeMap<String, Argument> {
    let owned = arguments.into_iter().map(|(name, value)| (name.to_owned(), value));
    owned.collect()
}

pub(crate) fn exchange(name: &str, kind: ExchangeKind) -> Declaration {
    exchange_before(name, kind, None)
}

/// An exchange with an alternate one behind it.
pub(crate) fn exchange_before(name: &str, kind: ExchangeKind, alternate: Option<&str>) -> Declaration {
    let alternate = alternate.map(|alternate| ("alternate-exchange".to_owned(), text(alternate)));
    Declaration::Exchange(Exchange {
        name: name.to_owned(),
        kind,
        arguments: alternate.into_iter().collect(),
    })
}

pub(crate) fn binding(exchange: &str, routing_key: &str, queue: &str) -> Declaration {
    Declaration::Binding(Binding {
        queue: queue.to_owned(),
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
    })
}

pub(crate) fn exchange_binding(source: &str, routing_key: &str, destination: &str) -> Declaration {
    Declaration::ExchangeBinding(ExchangeBinding {
        destination: destination.to_owned(),
        source: source.to_owned(),
        routing_key: routing_key.to_owned(),
    })
}

pub(crate) fn to(exchange: &str, routing_key: &str) -> Destination {
    Destination {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
    }
}

/// A message whose id is also its body.
pub(crate) fn message(id: &str) -> Message {
    let mut message = Message {
        body: id.to_owned().into(),
        ..Message::default()
    };
    message.properties.message_id = Some(id.into());
    message
}

pub(crate) fn id(message: &Message) -> &str {
    message.properties.message_id.as_deref().unwrap_or("none")
}

pub(crate) async fn answer(publisher: &mut dyn Publisher) -> Answer {
    soon("an answer", poll_fn(|cx| publisher.poll_answer(cx))).await
}

/// Publishes one message and takes its answer: whether it was acked, and what was returned.
pub(crate) async fn publish(
    publisher: &mut dyn Publisher,
    to: &Destination,
    message: &Message,
) -> (bool, Option<String>) {
    publisher.publish(7, to, message).unwrap();
    match answer(publisher).await {
        Answer::Settled {
            tag: 7,
            acked,
            returned,
        } => (acked, returned),
        other => panic!("{other:?}"),
    }
}

/// Publishes messages to a queue, in order, and waits until all are confirmed.
pub(crate) async fn fill(session: &dyn Session, queue: &str, ids: impl IntoIterator<Item = impl AsRef<str>>) {
    let mut publisher = session.publisher().await.unwrap();
    let mut open = 0;
    for (tag, id) in ids.into_iter().enumerate() {
        let message = message(id.as_ref());
        publisher
            .publish(tag as u64, &Destination::queue(queue), &message)
            .unwrap();
        open += 1;
    }
    for _ in 0..open {
        match answer(&mut *publisher).await {
            Answer::Settled {
                acked: true,
                returned: None,
                ..
            } => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn event(consumer: &mut dyn Consumer) -> ConsumerEvent {
    soon("an event", poll_fn(|cx| consumer.poll_event(cx))).await
}

pub(crate) async fn delivery(consumer: &mut dyn Consumer) -> Delivery {
    match event(consumer).await {
        ConsumerEvent::Delivery(delivery) => delivery,
        other => panic!("no delivery: {other:?}"),
    }
}

pub(crate) async fn deliveries(consumer: &mut dyn Consumer, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for _ in 0..count {
        deliveries.push(delivery(consumer).await);
    }
    deliveries
}

pub(crate) fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| id(&delivery.message)).collect()
}

/// Whether the consumer has nothing to tell right now.
pub(crate) async fn is_quiet(consumer: &mut dyn Consumer) -> bool {
    poll_fn(|cx| Poll::Ready(consumer.poll_event(cx).is_pending())).await
}

pub(crate) async fn lost(consumer: &mut dyn Consumer) -> BrokerError {
    match event(consumer).await {
        ConsumerEvent::Lost(error) => error,
        other => panic!("not lost: {other:?}"),
    }
}

pub(crate) fn settle(consumer: &mut dyn Consumer, delivery: Delivery, settlement: Settlement) {
    consumer.settle(delivery.lease, settlement).expect("its own lease");
    consumer.flush();
}

/// How often the broker says it had delivered a message before.
pub(crate) fn count(message: &Message) -> i64 {
    let header = message.properties.headers.get("x-delivery-count");
    header.and_then(HeaderValue::as_int).unwrap_or(0)
}

/// Waits until so many messages of a queue are ready and so many held, and none elsewhere.
pub(crate) async fn holds(fixture: &dyn Fixture, queue: &str, ready: u64, unacked: u64) {
    let what = format!("{queue} has {ready} ready and {unacked} unacked messages");
    eventually(what, async || {
        let depth = fixture.depth(queue).await;
        depth.is_some_and(|depth| (depth.ready, depth.unacked, depth.total) == (ready, unacked, ready + unacked))
    })
    .await;
}

/// Waits until a queue has so many ready messages; quicker than [`holds`].
pub(crate) async fn is_ready(session: &dyn Session, queue: &str, ready: u32) {
    eventually(format!("{queue} has {ready} ready messages"), async || {
        session.inspect(queue).await.unwrap().ready == ready
    })
    .await;
}
