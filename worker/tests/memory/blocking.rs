//! Handlers that block. Threads do not know of paused time, so the time here is the real one; the tests wait for signals.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::Job;
use leveret_worker::{BoxError, Cause, Context, FromContext, Middleware, Next, Outcome, State, async_trait};
use serde::{Deserialize, Serialize};

use crate::kit::*;

/// Holds blocking handlers until the test lets them go.
#[derive(Clone)]
struct Barrier(Arc<Mutex<Receiver<()>>>);

fn barrier() -> (Barrier, Sender<()>) {
    let (open, opened) = channel();
    (Barrier(Arc::new(Mutex::new(opened))), open)
}

impl Barrier {
    /// Blocks the thread. It is open once the test has dropped its end.
    fn wait(&self) {
        let _ = self.0.lock().expect("no panic").recv();
    }
}

/// Waits on the thread until the handler is asked to stop.
fn wait_for_cancellation(context: &Context) -> Cause {
    loop {
        match context.cancellation() {
            Some(cause) => return cause,
            None => std::thread::yield_now(),
        }
    }
}

const SHORT: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_blocking_handler_gets_its_extractors_and_its_outcome_counts() {
    // Given
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let act = |note: Note, State(probe): State<Probe>, context: Context| -> Result<Outcome, String> {
        probe.run(note.number, &context);
        match note.number {
            0 => Ok(Outcome::Done),
            1 => Ok(Outcome::Cancel("void".to_owned())),
            2 => Err("own fault".to_owned()),
            _ => panic!("no such number"),
        }
    };
    let builder = stand.worker().state(probe).register_blocking(act);
    let running = Running::start(builder.concurrency(&MAIL, 1)).await;

    // When
    for number in 0..4 {
        let job = stand.producer.enqueue(Note { number }).max_attempts(1);
        job.await.expect("stored");
    }
    stand.foreign(Some("note"), b"no JSON");

    // Then
    let dead = stand.dead_letters(3).await;
    let told: Vec<_> = dead
        .iter()
        .map(|dead| {
            (
                text(dead, "leveret-failure-reason"),
                text(dead, "leveret-failure-error"),
            )
        })
        .collect();
    assert_eq!(told[0], ("failed", "own fault"));
    assert_eq!(told[1], ("panicked", "the handler panicked: no such number"));
    assert_eq!(told[2].0, "undecodable");
    for number in 0..4 {
        assert_eq!(watch.started().await, (number, 1));
    }
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.cancelled, report.failed), (1, 1, 3));
}

#[tokio::test]
async fn a_blocking_handler_does_not_stop_the_async_ones() {
    // Given a runtime of one thread, and a blocking handler in one of the slots
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let (barrier, open) = barrier();
    let block = |note: Note, State(probe): State<Probe>, State(barrier): State<Barrier>, context: Context| {
        probe.run(note.number, &context);
        barrier.wait();
    };
    let card = async |_: Card, State(probe): State<Probe>, context: Context| probe.run(100, &context);
    let builder = stand.worker().state(probe).state(barrier);
    let running = Running::start(builder.register_blocking(block).register(card)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    // When another job comes
    stand.producer.enqueue(Card {}).await.expect("stored");

    // Then it runs meanwhile
    assert_eq!(watch.started().await, (100, 1));
    drop(open);
    stand.wait_for_empty("mail").await;
    assert_eq!(running.stop_mail().await.completed, 2);
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = MAIL, timeout = "30s")]
struct Card {}

#[tokio::test]
async fn a_timed_out_thread_keeps_its_slot_and_its_job_until_it_returns() {
    // Given one slot, and a handler that is told that its time is up and does not return
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let (barrier, open) = barrier();
    let (expired, mut has_expired) = tokio::sync::mpsc::channel(9);
    let block = move |note: Note, State(probe): State<Probe>, State(barrier): State<Barrier>, context: Context| {
        probe.run(note.number, &context);
        if note.number == 0 {
            expired
                .blocking_send(wait_for_cancellation(&context))
                .expect("the test waits");
            barrier.wait();
            return Err("stopped".to_owned());
        }
        Ok(())
    };
    let builder = stand.worker().state(probe).state(barrier).register_blocking(block);
    let running = Running::start(builder.concurrency(&MAIL, 1).prefetch(&MAIL, 10)).await;
    let job = stand.producer.enqueue(Note { number: 0 });
    job.timeout(SHORT).max_attempts(1).await.expect("stored");
    stand.enqueue([1]).await;
    assert_eq!(watch.started().await, (0, 1));

    // When its time is up
    assert_eq!(has_expired.recv().await, Some(Cause::TimedOut));

    // Then nothing is settled and nothing else runs, until it returns
    stand.wait_for("mail", |depth| depth.ready + depth.unacked == 2).await;
    assert_eq!(stand.broker.depth("mail.dead").map(|dead| dead.ready), Some(0));
    assert!(watch.nothing_started());
    drop(open);
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-reason"), "timed_out");
    assert_eq!(watch.started().await, (1, 1));
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.failed), (1, 1));
}

#[tokio::test]
async fn what_a_late_thread_has_done_is_done() {
    let stand = Stand::new();
    let late = |_: Note, context: Context| {
        wait_for_cancellation(&context);
    };
    let running = Running::start(stand.worker().register_blocking(late)).await;

    let job = stand.producer.enqueue(Note { number: 7 });
    job.timeout(SHORT).await.expect("stored");

    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.failed), (1, 0));
}

/// Loses its patience with the handler before the job's limit.
struct Impatient;

#[async_trait]
impl Middleware for Impatient {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        match tokio::time::timeout(SHORT, next.run(context)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Cancel("impatience".to_owned()),
        }
    }
}

#[tokio::test]
async fn a_middleware_that_stops_waiting_frees_no_slot_before_the_thread_returns() {
    // Given
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let (barrier, open) = barrier();
    let (expired, mut has_expired) = tokio::sync::mpsc::channel(9);
    let block = move |note: Note, State(probe): State<Probe>, State(barrier): State<Barrier>, context: Context| {
        probe.run(note.number, &context);
        if note.number == 0 {
            expired
                .blocking_send(wait_for_cancellation(&context))
                .expect("the test waits");
            barrier.wait();
        }
    };
    let builder = stand.worker().state(probe).state(barrier).middleware(Impatient);
    let builder = builder.register_blocking(block).concurrency(&MAIL, 1);
    let running = Running::start(builder).await;
    stand.enqueue([0, 1]).await;
    assert_eq!(watch.started().await, (0, 1));

    // When the middleware has left
    assert_eq!(has_expired.recv().await, Some(Cause::TimedOut));

    // Then
    assert!(watch.nothing_started());
    assert_eq!(stand.broker.depth("mail").map(|mail| mail.unacked), Some(2));
    drop(open);
    assert_eq!(watch.started().await, (1, 1));
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.cancelled, report.completed), (1, 1));
}

/// Tells the test of every attempt that was interrupted.
struct Interruptions(tokio::sync::mpsc::Sender<()>);

#[async_trait]
impl Middleware for Interruptions {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        let outcome = next.run(context).await;
        if outcome.is_interrupted() {
            self.0.try_send(()).expect("there is room");
        }
        outcome
    }
}

#[tokio::test]
async fn a_job_without_a_thread_goes_back_and_spends_no_attempt() {
    // Given a thread for two slots
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let (barrier, open) = barrier();
    let block = |note: Note, State(probe): State<Probe>, State(barrier): State<Barrier>, context: Context| {
        probe.run(note.number, &context);
        if note.number == 0 {
            barrier.wait();
        }
    };
    let (given_back, mut is_given_back) = tokio::sync::mpsc::channel(1_000);
    let builder = stand.worker().state(probe).state(barrier).register_blocking(block);
    let builder = builder.concurrency(&MAIL, 2).blocking_threads(1);
    let running = Running::start(builder.middleware(Interruptions(given_back))).await;
    stand.enqueue([0]).await;
    assert_eq!(watch.started().await, (0, 1));

    // When a job waits for longer than it may run, again and again
    let job = stand.producer.enqueue(Note { number: 1 });
    job.timeout(SHORT).max_attempts(1).await.expect("stored");
    for _ in 0..3 {
        let given_back = tokio::time::timeout(Duration::from_secs(30), is_given_back.recv());
        given_back.await.expect("it goes back").expect("the worker lives");
    }
    assert!(watch.nothing_started());
    drop(open);

    // Then its first attempt is still to come
    assert_eq!(watch.started().await, (1, 1));
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.failed), (2, 0));
    assert!(report.interrupted >= 3);
}

#[tokio::test]
async fn a_shutdown_tells_the_thread_and_an_error_then_spends_no_attempt() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let block = |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        Err(format!("{:?}", wait_for_cancellation(&context)))
    };
    let running = Running::start(stand.worker().state(probe).register_blocking(block)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    let report = running.stop_mail().await;

    assert_eq!((report.interrupted, report.failed, report.left_unacked), (1, 0, 0));
    assert_eq!(stand.broker.depth("mail").map(|mail| mail.ready), Some(1));
}

#[tokio::test]
async fn the_grace_ends_although_a_thread_does_not_return() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let (barrier, open) = barrier();
    let block = |note: Note, State(probe): State<Probe>, State(barrier): State<Barrier>, context: Context| {
        probe.run(note.number, &context);
        barrier.wait();
    };
    let builder = stand.worker().state(probe).state(barrier).register_blocking(block);
    let running = Running::start(builder.shutdown_grace(SHORT)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    let report = running.stop_mail().await;

    // Its job is the broker's again.
    assert_eq!((report.interrupted, report.left_unacked), (1, 1));
    stand.wait_for("mail", |mail| mail.ready == 1).await;
    drop(open);
}

/// A value that never comes, such as a connection of a pool that has none left.
struct Never;

impl FromContext for Never {
    async fn from_context(_: &Context) -> Result<Self, BoxError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn the_extractors_of_a_blocking_handler_are_under_its_limit_as_well() {
    // Given a blocking handler that never gets what it asks for
    let stand = Stand::new();
    let builder = stand.worker().register_blocking(|_: Note, _: Never| {});
    let running = Running::start(builder).await;

    // When a job comes
    let job = stand.producer.enqueue(Note { number: 7 }).max_attempts(1);
    job.timeout(SHORT).await.expect("stored");

    // Then its time runs out, and its slot is free again
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-reason"), "timed_out");
    assert_eq!(running.stop_mail().await.left_unacked, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_async_handler_that_blocks_its_thread_stalls_no_other_job_while_a_thread_is_free() {
    // Given a handler that blocks one of two threads, against all advice
    let stand = Stand::new();
    let (barrier, open) = barrier();
    let handler = async |note: Note, State(barrier): State<Barrier>| {
        if note.number == 0 {
            barrier.wait();
        }
    };
    stand.enqueue(0..300).await;
    let running = Running::start(stand.worker().state(barrier).register(handler)).await;

    // When all other jobs are to be run, on the other thread
    // Then they are, and are settled
    let others = stand.wait_for("mail", |depth| (depth.unacked, depth.ready) == (1, 0));
    let others = tokio::time::timeout(Duration::from_secs(60), others).await;
    drop(open);
    others.expect("one thread is free");
    stand.wait_for_empty("mail").await;
    let report = running.stop().await;
    assert_eq!(report.queue("mail").map(|mail| mail.completed), Some(300));
}
