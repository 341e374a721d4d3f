//! The producer's guarantees, on a real RabbitMQ: a confirm, a retry or a clear error, and nothing else.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod confirms;
mod fates;
mod outages;

use std::time::Duration;

use leveret::{ConnectOptions, Job, JobId, Producer, Queue, Rabbit};
use serde::{Deserialize, Serialize};

/// The job of these tests; it goes wherever the test sends it.
#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = "unused")]
struct Note {
    number: usize,
    text: String,
}

impl Note {
    fn new(number: usize) -> Self {
        Self {
            number,
            text: "hello".to_owned(),
        }
    }
}

/// A queue that no other test uses.
fn own_queue(name: &str) -> Queue {
    Queue::named(format!("{name}-{}", JobId::random())).expect("short enough")
}

fn options(url: &str) -> ConnectOptions {
    url.parse().expect("a valid URL")
}

async fn connect(url: &str) -> Producer {
    Producer::connect(options(url)).await.expect("the node answers")
}

/// Makes a queue by its first use and leaves it empty.
async fn make(producer: &Producer, queue: &Queue) {
    producer.enqueue(Note::new(0)).queue(queue).await.expect("confirmed");
    let taken = leveret_tests::taker::take_all(producer.rabbit(), queue.name()).await;
    assert_eq!(taken.len(), 1);
}

/// The numbers of the notes in a queue, in order; it is empty afterwards.
async fn numbers_in(rabbit: &Rabbit, queue: &Queue) -> Vec<usize> {
    let messages = leveret_tests::taker::take_all(rabbit, queue.name()).await;
    let note = |body: &[u8]| serde_json::from_slice::<Note>(body).expect("a note").number;
    messages.iter().map(|message| note(&message.body)).collect()
}

const SOON: Duration = Duration::from_millis(300);
