//! kill -9 and restart of the broker in the midst of enqueueing and working: nothing is lost, every duplicate is explained.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "kill/poison.rs"]
mod poison;

use std::time::Duration;

use leveret::{ConnectOptions, Job, Producer, Queue};
use leveret_tests::loss::{Fate, Run};
use leveret_tests::{LossBook, Node, taker};
use leveret_worker::{Context, State, Worker};
use serde::{Deserialize, Serialize};

const JOBS: usize = 20_000;
const QUEUE: Queue = Queue::new("killed");

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = QUEUE, timeout = "60s")]
struct Count {
    number: usize,
}

async fn count(job: Count, State(book): State<LossBook>, context: Context) {
    book.ran(job.number.to_string(), Run::of(&context));
    tokio::task::yield_now().await;
    book.done(job.number.to_string());
}

fn options(node: &Node) -> ConnectOptions {
    let options: ConnectOptions = node.amqp_url().parse().expect("valid");
    // The machine may be slow to start a broker; what is in the ledger waits for it.
    options.confirm_deadline(Duration::from_secs(120))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_jobs_survive_two_kills_of_the_broker() {
    // Given a broker with a queue that it knows, a worker that is ready, and a producer
    let node = Node::start().await;
    let producer = Producer::connect(options(&node)).await.expect("connected");
    let book = LossBook::new();
    let worker = Worker::builder(options(&node))
        .state(book.clone())
        .register(count)
        .concurrency(&QUEUE, 50);
    let worker = worker.build().expect("valid");
    let handle = worker.handle();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(worker.run_until(stopped));
    assert!(handle.ready().await);
    node.flush_tables().await;

    // When the broker is killed and restarted twice while 20,000 jobs are enqueued and worked on
    let enqueueing = tokio::spawn(enqueue_all(producer.clone(), book.clone()));
    let done = book.done_counter();
    for so_many in [2_000, 9_000] {
        done.wait_for_within(Duration::from_secs(120), so_many).await;
        node.kill().await;
        node.start_again().await;
    }
    enqueueing.await.expect("no panic");
    done.wait_for_within(Duration::from_secs(240), JOBS as u64).await;

    // Then every one is confirmed and done, every duplicate is explained, and nothing is left
    let _ = stop.send(());
    let report = working.await.expect("no panic").expect("it ran");
    let losses = book.report();
    println!("{losses}\n{report}");
    losses.assert_sound();
    assert_eq!((losses.confirmed, losses.done), (JOBS, JOBS));
    assert!(report.is_clean(), "{report}");
    assert_eq!(taker::depth(producer.rabbit(), "killed").await, 0);
    assert_eq!(taker::depth(producer.rabbit(), "killed.dead").await, 0);
    producer.close().await;
}

async fn enqueue_all(producer: Producer, book: LossBook) {
    let mut pending = Vec::with_capacity(JOBS);
    for number in 0..JOBS {
        let enqueue = producer.enqueue(Count { number }).id(number.to_string());
        pending.push(enqueue.submit().await.expect("accepted"));
    }
    for (number, pending) in pending.into_iter().enumerate() {
        pending.await.expect("confirmed");
        book.enqueued(number.to_string(), Fate::Confirmed);
    }
}
