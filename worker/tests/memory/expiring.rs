//! Jobs that are no longer wanted when their turn comes.

use std::time::Duration;

use leveret::envelope::History;
use leveret::{Job, Message};
use leveret_worker::{Context, Fetcher, JobError, Outcome, State};
use serde::{Deserialize, Serialize};

use crate::kit::*;

const MINUTE: Duration = Duration::from_secs(60);

async fn hold(note: Note, State(probe): State<Probe>, context: Context) {
    probe.hold(note.number, &context).await;
}

/// A job that is wanted for so long.
async fn enqueue(stand: &Stand, number: u64, expires_in: Duration) {
    let job = stand.producer.enqueue(Note { number });
    job.expires_in(expires_in).await.expect("stored");
}

fn assert_expired(dead: &Message, error: &str) {
    assert_eq!(text(dead, "leveret-failure-reason"), "expired");
    let told = text(dead, "leveret-failure-error");
    assert!(told.contains(error), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_expired_in_its_queue_is_not_run() {
    // Given a job that is wanted for a minute, one for two, one for ever, and nobody to run them for 61 seconds
    let stand = Stand::new();
    stand.rabbit.declare(&MAIL).await.expect("declared");
    for (number, expires_in) in [(1, MINUTE), (2, 2 * MINUTE), (3, Duration::MAX)] {
        enqueue(&stand, number, expires_in).await;
    }
    tokio::time::sleep(MINUTE + Duration::from_secs(1)).await;

    // When a worker comes
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold).concurrency(&MAIL, 1)).await;

    // Then the first is a dead letter, and the others run
    assert_eq!(watch.started().await, (2, 1));
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(&dead.body[..], br#"{"number":1}"#);
    assert_expired(&dead, "before its attempt 1 began");
    assert_eq!(int(&dead, "leveret-attempt"), Some(1));
    watch.let_go(1);
    assert_eq!(watch.started().await, (3, 1));
    watch.let_go(1);
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.dead_lettered), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_expires_while_it_waits_for_a_slot_is_not_run_and_one_that_runs_goes_on() {
    // Given a job that runs, and one behind it, both wanted for ten seconds
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let builder = stand.worker().state(probe).register(hold);
    let running = Running::start(builder.concurrency(&MAIL, 1).prefetch(&MAIL, 2)).await;
    for number in [1, 2] {
        enqueue(&stand, number, Duration::from_secs(10)).await;
    }
    assert_eq!(watch.started().await, (1, 1));
    stand.wait_for("mail", |depth| depth.unacked == 2).await;

    // When the first has run for longer
    tokio::time::sleep(Duration::from_secs(11)).await;
    watch.let_go(1);

    // Then it is done, and the second is a dead letter
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(&dead.body[..], br#"{"number":2}"#);
    assert_expired(&dead, "before its attempt 1 began");
    assert!(watch.nothing_started());
    assert_eq!(running.stop_mail().await.completed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_next_attempt_would_come_too_late_is_a_dead_letter_now() {
    // Given handlers that want their job again in an hour
    let stand = Stand::new();
    let later = async |note: Note| match note.number {
        1 => Err(JobError::retry_in(60 * MINUTE, "the provider is down")),
        _ => Ok(Outcome::Snooze(60 * MINUTE)),
    };
    let running = Running::start(stand.worker().register(later)).await;

    // When the jobs are wanted for a minute
    enqueue(&stand, 1, MINUTE).await;
    enqueue(&stand, 2, MINUTE).await;

    // Then
    let mut dead = stand.dead_letters(2).await;
    dead.sort_by(|one, other| one.body.cmp(&other.body));
    assert_expired(
        &dead[0],
        "the last one: the job asks to be tried again in 3600s: the provider is down",
    );
    assert_expired(&dead[1], "put off");
    assert_eq!(History::read(&dead[0]).attempts().len(), 1);
    let report = running.stop_mail().await;
    assert_eq!((report.retried, report.snoozed, report.dead_lettered), (0, 0, 2));
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = MAIL, timeout = "30s", expires_in = "10s")]
struct Code {
    number: u64,
}

#[tokio::test(start_paused = true)]
async fn a_type_says_how_long_its_jobs_are_wanted_and_a_producer_may_say_otherwise() {
    // Given two codes, one of them with an expiry of its own, and a date that has moved on
    let stand = Stand::new();
    stand.rabbit.declare(&MAIL).await.expect("declared");
    tokio::time::sleep(60 * MINUTE).await;
    stand.producer.enqueue(Code { number: 1 }).await.expect("stored");
    let longer = stand.producer.enqueue(Code { number: 2 }).expires_in(MINUTE);
    longer.await.expect("stored");
    let later = stand.producer.try_enqueue(Code { number: 3 }).expect("room");
    later.await.expect("stored");

    // When their turn comes after eleven seconds
    tokio::time::sleep(Duration::from_secs(11)).await;
    let (probe, mut watch) = probe();
    let run = async |code: Code, State(probe): State<Probe>, context: Context| {
        assert!(context.expires().is_some());
        probe.run(code.number, &context);
    };
    let running = Running::start(stand.worker().state(probe).register(run)).await;

    // Then
    assert_eq!(watch.started().await, (2, 1));
    for dead in stand.dead_letters(2).await {
        assert_expired(&dead, "before its attempt 1 began");
    }
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_fetcher_puts_expired_jobs_aside() {
    let stand = Stand::new();
    let mut fetcher = Fetcher::connect(&stand.rabbit, &MAIL).await.expect("connected");
    enqueue(&stand, 1, Duration::ZERO).await;
    enqueue(&stand, 2, MINUTE).await;

    let fetched = fetcher.fetch::<Note>().await.expect("a broker").expect("a job");

    assert_eq!(fetched.job().number, 2);
    fetched.settle(()).await.expect("settled");
    let dead = stand.dead_letters(1).await.remove(0);
    assert_expired(&dead, "before its attempt 1 began");
}
