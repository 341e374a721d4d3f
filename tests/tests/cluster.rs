//! Three nodes: what a confirm means on a majority, and what the loss of a node costs.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use leveret::{ConnectOptions, Fate, Job, Producer, Queue};
use leveret_tests::loss::{self, Run};
use leveret_tests::signal::{Gate, eventually};
use leveret_tests::{Cluster, LossBook, taker};
use leveret_worker::{Context, State, Worker};
use serde::{Deserialize, Serialize};

const JOBS: usize = 5_000;
const QUEUE: Queue = Queue::new("replicated");
/// A broker that lost a node may be slow to find itself; what is in the ledger waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = QUEUE, timeout = "60s")]
struct Count {
    number: usize,
}

/// Jobs from this one on end only once the leader was killed.
const HELD: usize = 1_000;

async fn count(job: Count, State(book): State<LossBook>, State(gate): State<Gate>, context: Context) {
    book.ran(job.number.to_string(), Run::of(&context));
    if job.number >= HELD {
        gate.pass().await;
    }
    book.done(job.number.to_string());
}

fn options(url: &str) -> ConnectOptions {
    let options: ConnectOptions = url.parse().expect("valid");
    options.confirm_deadline(PATIENCE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_jobs_survive_the_kill_of_their_queue_s_leader() {
    // Given a queue with a member on each of three nodes, a worker that is ready, and a producer
    let cluster = Cluster::start(3).await;
    let producer = Producer::connect(options(&cluster.amqp_url()))
        .await
        .expect("connected");
    let (book, gate) = (LossBook::new(), Gate::closed("handlers at the gate"));
    let worker = Worker::builder(options(&cluster.amqp_url()))
        .state(book.clone())
        .state(gate.clone())
        .register(count)
        .concurrency(&QUEUE, 50);
    let worker = worker.build().expect("valid");
    let handle = worker.handle();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(worker.run_until(stopped));
    assert!(handle.ready().await);
    cluster.wait_for_members(QUEUE.name()).await;
    let leader = cluster.leader_of(QUEUE.name()).await;

    // When the leader is killed while 5,000 jobs are enqueued and worked on
    let enqueueing = tokio::spawn(enqueue_all(cluster.amqp_url(), book.clone()));
    let done = book.done_counter();
    done.wait_for_within(PATIENCE, 500).await;
    leader.kill().await;
    gate.open();
    let enqueued = tokio::time::timeout(PATIENCE, enqueueing).await;
    enqueued.expect("every job is confirmed in the end").expect("no panic");
    done.wait_for_within(PATIENCE, JOBS as u64).await;

    // Then every one is confirmed and done, every duplicate is explained, and nothing is left
    let _ = stop.send(());
    let report = working.await.expect("no panic").expect("it ran");
    let losses = book.report();
    println!("{losses}\n{report}");
    losses.assert_sound();
    assert_eq!((losses.confirmed, losses.done), (JOBS, JOBS));
    assert!(report.is_clean(), "{report}");
    assert_eq!(taker::depth(producer.rabbit(), "replicated").await, 0);
    assert_eq!(taker::depth(producer.rabbit(), "replicated.dead").await, 0);
    producer.close().await;
}

/// Enqueues all jobs as fast as the ledger takes them. Whatever the broker loses or refuses in an election is the ledger's to mend.
async fn enqueue_all(url: String, book: LossBook) {
    let producer = Producer::connect(options(&url)).await.expect("connected");
    let mut pending = Vec::with_capacity(JOBS);
    for number in 0..JOBS {
        let enqueue = producer.enqueue(Count { number }).id(number.to_string());
        pending.push(enqueue.submit().await.expect("accepted"));
    }
    for (number, pending) in pending.into_iter().enumerate() {
        pending.await.unwrap_or_else(|error| panic!("{number}: {error}"));
        book.enqueued(number.to_string(), loss::Fate::Confirmed);
    }
    producer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_confirmed_while_less_than_a_majority_is_up() {
    // Given a queue with a member on each of three nodes, and a producer on the first
    let cluster = Cluster::start(3).await;
    let [first, others @ ..] = cluster.nodes() else {
        panic!("three nodes")
    };
    let producer = Producer::connect(options(&first.amqp_url())).await.expect("connected");
    producer
        .enqueue(Count { number: 0 })
        .await
        .expect("three are a majority");
    cluster.wait_for_members(QUEUE.name()).await;

    // When the two others are killed, and something is enqueued
    for node in others {
        node.kill().await;
    }
    let impatient = producer
        .enqueue(Count { number: 1 })
        .id("one")
        .confirm_timeout(Duration::from_secs(2));
    let refused = impatient.await.expect_err("one of three is no majority");
    let patient = producer.enqueue(Count { number: 2 }).submit().await.expect("accepted");

    // Then it is not confirmed, and its fate is told as it is
    assert!(matches!(refused.fate(), Fate::Unknown | Fate::NotSent), "{refused}");

    // When they come back, then what waits is confirmed, and so is another try
    cluster.start_again().await;
    patient.await.expect("three are a majority again");
    let again = producer.enqueue(Count { number: 1 }).id("one").await;
    again.expect("three are a majority again");
    let rabbit = producer.rabbit();
    // The first try may have been stored after all.
    eventually("all is in the queue", async || {
        taker::depth(rabbit, "replicated").await >= 3
    })
    .await;
    producer.close().await;
}
