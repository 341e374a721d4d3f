//! Python publishes into the delay ladder.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leveret::HeaderValue;
use leveret_tests::LossBook;
use leveret_tests::loss::{Fate, Run};
use leveret_worker::{Context, State};
use serde_json::json;

use crate::kit::*;

const JOBS: usize = 50;

/// By how much each job was early, in milliseconds; below zero: late.
#[derive(Clone, Default)]
struct Earliness(Arc<Mutex<Vec<i64>>>);

async fn arrive(_: SendWelcome, State(book): State<LossBook>, State(early): State<Earliness>, context: Context) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is late enough");
    let now = i64::try_from(now.as_millis()).expect("not that late");
    let due = context.header("leveret-due").and_then(HeaderValue::as_int);
    early
        .0
        .lock()
        .expect("no panic")
        .push(due.expect("it is delayed") - now);
    book.ran_to_end(context.id().as_str(), Run::of(&context));
}

/// A queue that has been delayed to once, so that the ladder stands and knows it.
async fn bench_on_the_ladder(name: &str) -> Bench {
    let bench = Bench::new(name).await;
    let first = SendWelcome {
        address: "first".into(),
    };
    let first = bench.rabbit.producer().enqueue(first).queue(&bench.queue);
    first.delay(Duration::from_millis(1)).await.expect("stored");
    assert_eq!(bench.look(bench.queue.name(), 1, "enqueued").await.len(), 1);
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pika_publishes_for_later_runs_once_and_never_early() {
    // Given a worker
    let bench = bench_on_the_ladder("delayed.by-python").await;
    let (book, early) = (LossBook::new(), Earliness::default());
    let builder = bench.worker().state(book.clone()).state(early.clone());
    let running = Running::start(builder.register(arrive)).await;

    // When a program in Python enqueues jobs for later
    let addresses: Vec<String> = (0..JOBS).map(|number| number.to_string()).collect();
    let mut arguments = vec!["1.3"];
    arguments.extend(addresses.iter().map(String::as_str));
    let mut program = bench.example("pika_delay.py", &arguments).await;
    for id in program.lines("enqueued ", JOBS).await {
        book.enqueued(id, Fate::Confirmed);
    }
    assert!(program.end().await.success());

    // Then each runs once, and none early
    book.wait_for_done(JOBS as u64).await;
    let report = running.stop().await;
    let told = book.report();
    assert_eq!((told.confirmed, told.done), (JOBS, JOBS), "{told:?}");
    assert!(told.lost.is_empty() && told.duplicates.is_empty(), "{told:?}");
    assert_eq!(
        report.queue(bench.queue.name()).map(|queue| queue.completed),
        Some(JOBS as u64)
    );
    let early = early.0.lock().expect("no panic").clone();
    assert!(early.iter().all(|early| *early <= 0), "{early:?}");
}

#[tokio::test]
async fn what_fails_in_python_is_tried_again_later_and_then_a_dead_letter() {
    // Given a program that retries, and a job that fails there
    let bench = bench_on_the_ladder("retried-by-python").await;
    let mut working = bench.example("pika_retry.py", &[]).await;
    let refused = SendWelcome {
        address: "refused".into(),
    };
    let enqueue = bench.rabbit.producer().enqueue(refused).queue(&bench.queue);
    enqueue.id("r-1").header("tenant", "eu").await.expect("stored");

    // When it has run, and run again
    assert_eq!(working.lines("failed ", 3).await, ["1 r-1", "2 r-1", "3 r-1"]);

    // Then it is a dead letter, the broker's own, that says so
    let dead = bench.look(&bench.dead(), 1, "job").await.remove(0);
    bench.wait_until_empty().await;
    working.kill().await;
    assert_eq!(dead["properties"]["message_id"], "r-1");
    assert_eq!(dead["body"], json!({"address": "refused"}));
    let headers = &dead["headers"];
    assert_eq!(
        (&headers["leveret-attempt"], &headers["leveret-hop"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(headers["leveret-failure-error"], "no such address");
    assert_eq!(headers["tenant"], "eu");
    assert_eq!(headers["x-death"][0]["reason"], "rejected");
    assert_eq!(bench.dead_letter_count().await, 0);
}
