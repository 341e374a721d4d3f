//! What is tried again and what is not, what costs an attempt and what does not, on a real broker.

use std::time::Duration;

use leveret::envelope::History;
use leveret::{Backoff, RetryPolicy};
use leveret_tests::node::Node;
use leveret_tests::signal::soon;
use leveret_worker::{Cause, Context, Interruption, JobError, QueueState, State};

use crate::kit::*;

const fn attempts(number: u32) -> RetryPolicy {
    RetryPolicy::new(number, Backoff::none())
}

/// How a job of these tests ends, by its number.
const PERMANENT: u64 = 1;

async fn fail(note: Note, State(probe): State<Probe>, context: Context) -> anyhow::Result<()> {
    probe.run(note.number, &context);
    let kind = match note.number {
        PERMANENT => std::io::ErrorKind::PermissionDenied,
        _ => std::io::ErrorKind::ConnectionRefused,
    };
    Err(std::io::Error::from(kind))?;
    Ok(())
}

#[tokio::test]
async fn a_job_is_tried_as_often_as_its_policies_and_rules_say_and_remembers_each_attempt() {
    // Given a worker with a policy of its own for the queue, and a rule about errors
    let bench = Bench::new(own_queue("ruled")).await;
    let probe = Probe::new();
    let builder = bench.worker().state(probe.clone()).register(fail);
    let builder = builder
        .retry_on(&bench.queue, attempts(4))
        .retry_if(|error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused);
    let running = Running::start(builder).await;

    // When one job fails for good and another for now
    bench.enqueue([PERMANENT, 2]).await;
    let mut dead = bench.dead_letters(2).await;
    dead.sort_by(|one, other| one.body.cmp(&other.body));

    // Then
    let mut runs = probe.attempts();
    runs.sort_unstable();
    assert_eq!(runs, [(PERMANENT, 1), (2, 1), (2, 2), (2, 3), (2, 4)]);
    let reasons: Vec<_> = dead.iter().map(|dead| text(dead, "leveret-failure-reason")).collect();
    assert_eq!(reasons, ["rejected", "failed"]);
    for (dead, attempts) in dead.iter().zip([1, 4]) {
        let history = History::read(dead);
        let told: Vec<_> = history
            .attempts()
            .iter()
            .map(|past| (past.attempt, past.worker.as_str()))
            .collect();
        assert_eq!(
            told,
            (1..=attempts).map(|attempt| (attempt, "tests")).collect::<Vec<_>>()
        );
    }
    let report = running.stop_one().await;
    assert_eq!(
        (report.failed, report.retried, report.dead_lettered, report.left_unacked),
        (5, 3, 2, 0)
    );
}

#[tokio::test]
async fn jobs_that_expired_or_would_before_they_come_again_are_dead_letters() {
    // Given a handler that puts its jobs off for an hour
    let bench = Bench::new(own_queue("expiring")).await;
    let probe = Probe::new();
    let later = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        Err::<(), _>(JobError::retry_in(Duration::from_secs(3_600), "the provider is down"))
    };
    let running = Running::start(bench.worker().state(probe.clone()).register(later)).await;

    // When one job has expired already, and another expires before that hour is over
    for (number, expires_in) in [(1, Duration::ZERO), (2, Duration::from_secs(600))] {
        let job = bench.producer.enqueue(Note { number }).queue(&bench.queue);
        job.expires_in(expires_in).await.expect("stored");
    }
    let dead = bench.dead_letters(2).await;

    // Then only the second was run, once
    assert_eq!(probe.attempts(), [(2, 1)]);
    assert!(
        dead.iter()
            .all(|dead| text(dead, "leveret-failure-reason") == "expired")
    );
    let report = running.stop_one().await;
    assert_eq!((report.retried, report.dead_lettered), (0, 2));
}

/// Gives up its job when it is asked to, the first time; is done with it the second.
async fn polite(note: Note, State(probe): State<Probe>, context: Context) -> Result<(), String> {
    probe.run(note.number, &context);
    if context.is_redelivered() {
        return Ok(());
    }
    Err(format!("{:?}", context.cancelled().await))
}

#[tokio::test]
async fn a_shutdown_costs_no_attempt() {
    // Given a job with one attempt that a worker has begun
    let bench = Bench::new(own_queue("shut")).await;
    let probe = Probe::new();
    let job = bench.producer.enqueue(Note { number: 7 }).queue(&bench.queue);
    job.max_attempts(1).await.expect("stored");
    let first = Running::start(bench.worker().state(probe.clone()).register(polite)).await;
    probe.runs.wait_for(1).await;

    // When that worker is shut down and another comes
    let report = first.stop_one().await;
    assert_eq!((report.interrupted, report.failed, report.left_unacked), (1, 0, 0));
    let second = Running::start(bench.worker().state(probe.clone()).register(polite)).await;
    probe.runs.wait_for(2).await;

    // Then it was the same attempt, and no dead letter came of it
    let report = second.stop_one().await;
    assert_eq!((report.completed, report.failed, report.left_unacked), (1, 0, 0));
    assert_eq!(probe.attempts(), [(7, 1), (7, 1)]);
    assert_eq!(bench.dead_letter_count().await, 0);
}

/// Holds its job until that is taken away, twice; then it is done. What it is told goes into the count of ends.
async fn hold_twice(note: Note, State(probe): State<Probe>, context: Context) {
    probe.run(note.number, &context);
    if probe.runs.count() < 3 {
        let ends = probe.ends.clone();
        // The handler itself is dropped as soon as it is told.
        drop(tokio::spawn(async move {
            let cause = context.cancelled().await;
            assert!(
                matches!(cause, Cause::LeaseLost | Cause::ConsumerCancelled),
                "{cause:?}"
            );
            ends.add();
        }));
        std::future::pending::<()>().await;
    }
}

/// From now on the broker's new channels take a job back after a second.
async fn lose_patience(node: &Node) {
    for setting in ["consumer_timeout, 1000", "channel_tick_interval, 200"] {
        let set = format!("application:set_env(rabbit, {setting}).");
        node.ctl(&["eval", &set]).await.expect("set");
    }
}

#[tokio::test]
async fn a_lost_connection_and_a_consumer_timeout_cost_no_attempt_and_the_timeout_is_explained() {
    // Given a job with one attempt that runs
    let node = Node::start().await;
    let bench = Bench::at(&node.amqp_url(), own_queue("overdue")).await;
    let probe = Probe::new();
    let builder = bench.worker().state(probe.clone()).register(hold_twice);
    let running = Running::start(builder.interruption::<Note>(Interruption::Cancel)).await;
    let job = bench.producer.enqueue(Note { number: 7 }).queue(&bench.queue);
    job.max_attempts(1).await.expect("stored");
    probe.runs.wait_for(1).await;

    // When its connection is lost, and on the next one the broker waits for a second only, against the worker's belief
    lose_patience(&node).await;
    let states = running.handle.clone();
    let queue = bench.queue.name().to_owned();
    let explained = tokio::spawn(async move {
        let mut state = states.state();
        loop {
            state = states.changed(&state).await;
            match &state[&queue] {
                QueueState::Down { error } if error.contains("consumer_timeout") => return error.clone(),
                _ => {}
            }
        }
    });
    node.ctl(&["close_all_connections", "the test wants it"])
        .await
        .expect("closed");
    probe.runs.wait_for(2).await;

    // Then the state says what happened, to which queue, and what to do
    let error = soon("a state that explains it", explained).await.expect("no panic");
    for part in [
        bench.queue.name(),
        "the job `note`",
        "No attempt is spent",
        ".consumer_timeout(",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }

    // and it was the same attempt each time
    probe.runs.wait_for(3).await;
    probe.ends.wait_for(2).await;
    let report = running.stop_one().await;
    assert_eq!(probe.attempts(), [(7, 1), (7, 1), (7, 1)]);
    assert_eq!((report.completed, report.failed, report.interrupted), (1, 0, 2));
    assert_eq!(bench.dead_letter_count().await, 0);
}
