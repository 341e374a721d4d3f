//! RabbitMQ behind the seam: what only a real broker and a real network can show. What every broker promises is in the
//! contract suite.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod connecting;
mod consuming;
mod credentials;
mod handshakes;
mod hosts;
mod publishing;
mod unreadable;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leveret::broker::{
    Answer, Argument, Broker, Consumer, ConsumerEvent, Declaration, Delivery, Destination, Health, Publisher,
    QueueDeclaration, Session, rabbit_broker,
};
use leveret::{ConnectOptions, Message};
use leveret_tests::signal::soon;

fn options(url: &str) -> ConnectOptions {
    url.parse().expect("a URL")
}

fn broker(options: &ConnectOptions) -> Arc<dyn Broker> {
    rabbit_broker(options).expect("a broker")
}

async fn session(url: &str) -> Arc<dyn Session> {
    soon("a session", broker(&options(url)).connect("rabbit suite"))
        .await
        .expect("connected")
}

/// A queue of this test alone.
async fn declare(session: &dyn Session, name: &str, kind: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let arguments = BTreeMap::from([("x-queue-type".to_owned(), Argument::Text(kind.to_owned()))]);
    let queue = QueueDeclaration {
        name: name.clone(),
        arguments,
    };
    session.declare(&[Declaration::Queue(queue)]).await.expect("declared");
    name
}

fn message(id: &str) -> Message {
    let mut message = Message {
        body: format!("body of {id}").into(),
        ..Message::default()
    };
    message.properties.message_id = Some(id.into());
    message
}

/// Publishes `count` messages to a queue and waits until all are confirmed.
async fn fill(session: &dyn Session, queue: &str, count: u64) {
    let mut publisher = session.publisher().await.expect("a publisher");
    for tag in 0..count {
        publisher
            .publish(tag, &Destination::queue(queue), &message(&tag.to_string()))
            .expect("sent");
    }
    for _ in 0..count {
        assert!(matches!(
            answer(&mut publisher).await,
            Answer::Settled {
                acked: true,
                returned: None,
                ..
            }
        ));
    }
}

async fn answer(publisher: &mut Box<dyn Publisher>) -> Answer {
    soon("an answer", poll_fn(|cx| publisher.poll_answer(cx))).await
}

async fn event(consumer: &mut Box<dyn Consumer>) -> ConsumerEvent {
    soon("an event", poll_fn(|cx| consumer.poll_event(cx))).await
}

async fn delivery(consumer: &mut Box<dyn Consumer>) -> Delivery {
    match event(consumer).await {
        ConsumerEvent::Delivery(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

async fn closed(session: &dyn Session) -> leveret::broker::BrokerError {
    let mut health = session.health();
    let closed = health.wait_for(|health| matches!(health, Health::Closed(_)));
    match soon("the end of the connection", closed)
        .await
        .expect("a health")
        .clone()
    {
        Health::Closed(error) => error,
        other => panic!("{other:?}"),
    }
}

const SHORT: Duration = Duration::from_millis(300);
