//! tower's own layers around attempts.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::broker::memory::MemoryBroker;
use leveret::{ConnectOptions, Job, Queue, Rabbit};
use leveret_worker::{ExitReport, State, Worker, WorkerBuilder, tower};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const MAIL: Queue = Queue::new("mail");

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = MAIL, max_attempts = 1, timeout = "60s")]
struct Note {
    number: u64,
}

/// How many handlers run, and how many ran at once.
#[derive(Clone, Default)]
struct Crowd(Arc<(AtomicUsize, AtomicUsize)>);

impl Crowd {
    async fn join(&self) {
        let (now, most) = &*self.0;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _leaves = Leaves(self);
        // Time is paused: it goes on only once everybody who can be here is.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// A handler that is dropped leaves as well.
struct Leaves<'a>(&'a Crowd);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn join(_: Note, State(crowd): State<Crowd>) {
    crowd.join().await;
}

/// Ten jobs in ten slots, under middlewares.
async fn ten_jobs(crowd: &Crowd, with: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> ExitReport {
    let broker = MemoryBroker::new();
    let rabbit = Rabbit::with_broker(Arc::new(broker.clone()), ConnectOptions::default()).expect("in a runtime");
    let worker = Worker::builder(&rabbit).state(crowd.clone()).register(join);
    let worker = with(worker).build().expect("well put together");
    for number in 0..10 {
        rabbit.producer().enqueue(Note { number }).await.expect("stored");
    }
    let all_done = async move {
        let done = broker.wait_for_depth("mail", |mail| mail.ready + mail.unacked == 0);
        tokio::time::timeout(Duration::from_secs(600), done)
            .await
            .expect("they get done");
    };
    worker.run_until(all_done).await.expect("it could run")
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_holds_over_all_attempts() {
    let crowd = Crowd::default();
    let three = tower::layer(::tower::limit::ConcurrencyLimitLayer::new(3));
    let report = ten_jobs(&crowd, |worker| worker.middleware(three)).await;
    assert_eq!(crowd.most(), 3);
    assert_eq!(report.queue("mail").map(|mail| mail.completed), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_behind_a_buffer_spreads_the_attempts() {
    let crowd = Crowd::default();
    let layers = ::tower::ServiceBuilder::new()
        .buffer(10)
        .rate_limit(1, Duration::from_secs(5))
        .into_inner();
    let began = Instant::now();
    let report = ten_jobs(&crowd, |worker| worker.middleware(tower::layer(layers))).await;
    assert_eq!(crowd.most(), 1);
    assert!(
        began.elapsed() >= Duration::from_secs(45),
        "nine pauses of five seconds"
    );
    assert_eq!(report.queue("mail").map(|mail| mail.completed), Some(10));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_layer_fails_the_attempt_and_layers_nest() {
    let crowd = Crowd::default();
    let timeout = tower::layer(::tower::timeout::TimeoutLayer::new(Duration::from_millis(500)));
    let five = tower::layer(::tower::limit::ConcurrencyLimitLayer::new(5));
    let report = ten_jobs(&crowd, |worker| worker.middleware(five).middleware_for::<Note>(timeout)).await;
    assert_eq!(crowd.most(), 5, "the handlers that the outer layer lets in");
    assert_eq!(
        report.queue("mail").map(|mail| (mail.completed, mail.dead_lettered)),
        Some((0, 10))
    );
}
