//! The inspector of dead letters on the in-memory broker. What only a real broker can show is in `leveret-tests`.

#![cfg(feature = "memory")]
#![allow(clippy::unwrap_used)]

mod carrying;
mod looking;
mod losses;
mod redriving;

use std::sync::Arc;

use leveret::broker::Destination;
use leveret::broker::memory::MemoryBroker;
use leveret::{ConnectOptions, DeadLetters, Message, Queue, Rabbit};

const MAIL: Queue = Queue::new("mail");

/// A private broker with the queue `mail` and all that belongs to it.
struct Bench {
    broker: MemoryBroker,
    rabbit: Rabbit,
}

impl Bench {
    async fn new() -> Self {
        let broker = MemoryBroker::new();
        let rabbit = Rabbit::with_broker(Arc::new(broker.clone()), ConnectOptions::default()).unwrap();
        rabbit.declare(&MAIL).await.unwrap();
        Self { broker, rabbit }
    }

    fn letters(&self) -> DeadLetters {
        DeadLetters::of(&self.rabbit, &MAIL)
    }

    /// Puts letters of these ids into a queue.
    fn fill(&self, queue: &str, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.put(queue, &letter(id));
        }
    }

    fn put(&self, queue: &str, message: &Message) {
        self.broker.publish_raw(&Destination::queue(queue), message).unwrap();
    }

    /// The ids of what is ready in a queue, in order.
    fn ids(&self, queue: &str) -> Vec<String> {
        let messages = self.broker.messages(queue);
        let ids = messages.into_iter().map(|message| message.properties.message_id);
        ids.map(|id| id.unwrap_or_default().into()).collect()
    }
}

/// A dead letter as a worker makes them: odd numbers failed, even ones panicked.
fn letter(number: u64) -> Message {
    let mut message = Message {
        body: format!(r#"{{"user_id":{number}}}"#).into(),
        ..Message::default()
    };
    let properties = &mut message.properties;
    properties.message_id = Some(number.to_string().into());
    properties.kind = Some("send_welcome".into());
    let reason = if number % 2 == 1 { "failed" } else { "panicked" };
    for (name, value) in [
        ("leveret-attempt", 5.into()),
        ("leveret-hop", 4.into()),
        ("leveret-origin", "mail".into()),
        ("leveret-failure-reason", reason.into()),
        ("leveret-failure-error", format!("user {number} is away").into()),
        ("leveret-failure-queue", "mail".into()),
        ("leveret-failure-at-ms", 1_000.into()),
    ] {
        properties.headers.insert(name.to_owned(), value);
    }
    message
}

fn names(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}
