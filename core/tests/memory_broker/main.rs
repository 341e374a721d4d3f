//! What the in-memory broker can do beyond the contract that it shares with RabbitMQ: fail on demand, be operated from
//! outside, and follow a paused clock. The contract itself is tested in `leveret-tests`.

#![cfg(feature = "memory")]
#![allow(clippy::unwrap_used)]

mod faults;
mod operator;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use leveret::Message;
use leveret::broker::memory::MemoryBroker;
use leveret::broker::{
    Answer, Argument, Broker, Consumer, ConsumerEvent, Declaration, Delivery, Destination, Publisher, QueueDeclaration,
    Session,
};

/// A session, and a quorum queue `mail` with `mail.dead` for its dead letters, which is not declared.
async fn with_mail(broker: &MemoryBroker) -> Arc<dyn Session> {
    let session = broker.connect("test").await.unwrap();
    session.declare(&[quorum("mail", "mail.dead")]).await.unwrap();
    session
}

fn quorum(name: &str, dead: &str) -> Declaration {
    let text = |value: &str| Argument::Text(value.to_owned());
    Declaration::Queue(QueueDeclaration {
        name: name.to_owned(),
        arguments: BTreeMap::from([
            ("x-queue-type".to_owned(), text("quorum")),
            ("x-overflow".to_owned(), text("reject-publish")),
            ("x-dead-letter-strategy".to_owned(), text("at-least-once")),
            ("x-dead-letter-exchange".to_owned(), text("")),
            ("x-dead-letter-routing-key".to_owned(), text(dead)),
            ("x-delivery-limit".to_owned(), Argument::Int(100)),
        ]),
    })
}

fn mail() -> Destination {
    Destination::queue("mail")
}

fn message(id: &str) -> Message {
    let mut message = Message::default();
    message.properties.message_id = Some(id.into());
    message
}

fn settled(tag: u64, acked: bool) -> Answer {
    Answer::Settled {
        tag,
        acked,
        returned: None,
    }
}

async fn answer(publisher: &mut dyn Publisher) -> Answer {
    poll_fn(|cx| publisher.poll_answer(cx)).await
}

/// The answer that is there now, if any.
async fn answer_now(publisher: &mut dyn Publisher) -> Option<Answer> {
    poll_fn(|cx| match publisher.poll_answer(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn event(consumer: &mut dyn Consumer) -> ConsumerEvent {
    poll_fn(|cx| consumer.poll_event(cx)).await
}

async fn delivery(consumer: &mut dyn Consumer) -> Delivery {
    match event(consumer).await {
        ConsumerEvent::Delivery(delivery) => delivery,
        other => panic!("no delivery: {other:?}"),
    }
}
