//! What a handler's end does to its job.

use std::time::Duration;

use leveret::{Job, Queue};
use leveret_worker::{Context, JobError, Outcome, State};
use serde::{Deserialize, Serialize};

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn a_job_that_succeeds_is_acked() {
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(async |_: Note| {})).await;

    stand.enqueue(0..100).await;

    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.failed, report.left_unacked), (100, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_is_tried_again_and_then_becomes_an_annotated_dead_letter() {
    // Given a handler that always fails
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        Err(format!("no {} today", note.number))
    };
    let running = Running::start(stand.worker().state(probe).register(fail)).await;

    // When
    stand.enqueue([7]).await;

    // Then it runs as often as it may, and its dead letter says why and where
    let dead = stand.dead_letters(1).await.remove(0);
    for attempt in 1..=3 {
        assert_eq!(watch.started().await, (7, attempt));
    }
    assert_eq!(&dead.body[..], br#"{"number":7}"#);
    assert_eq!(text(&dead, "leveret-failure-reason"), "failed");
    assert_eq!(text(&dead, "leveret-failure-error"), "no 7 today");
    assert_eq!(text(&dead, "leveret-failure-queue"), "mail");
    assert_eq!(text(&dead, "leveret-failure-worker"), "tests");
    assert_eq!(text(&dead, "leveret-origin"), "mail");
    assert_eq!(
        (int(&dead, "leveret-attempt"), int(&dead, "leveret-hop")),
        (Some(3), Some(3))
    );
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.failed, report.retried, report.dead_lettered), (3, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn the_id_stays_the_same_through_all_attempts() {
    let stand = Stand::new();
    let id = stand
        .producer
        .enqueue(Note { number: 7 })
        .id("invoice-7")
        .await
        .expect("stored");
    let fail = async |_: Note, context: Context| -> Result<(), String> { Err(context.id().to_string()) };
    let running = Running::start(stand.worker().register(fail)).await;

    let dead = stand.dead_letters(1).await.remove(0);

    assert_eq!(dead.properties.message_id.as_deref(), Some(id.as_str()));
    assert_eq!(text(&dead, "leveret-failure-error"), "invoice-7");
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_job_is_not_tried_again() {
    let stand = Stand::new();
    let reject = async |_: Note| -> anyhow::Result<()> {
        Err(anyhow::Error::from(JobError::reject("card expired")).context("charging"))
    };
    let running = Running::start(stand.worker().register(reject)).await;

    stand.enqueue([7]).await;

    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-reason"), "rejected");
    assert_eq!(
        text(&dead, "leveret-failure-error"),
        "charging: the job was rejected: card expired"
    );
    assert_eq!(running.stop_mail().await.retried, 0);
}

#[tokio::test(start_paused = true)]
async fn a_snooze_spends_no_attempt() {
    // Given a handler that puts its job off five times, more often than it has attempts
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let snooze = async |note: Note, State(probe): State<Probe>, context: Context| -> Outcome {
        probe.run(note.number, &context);
        match context.header("leveret-hop").and_then(|hop| hop.as_int()) {
            Some(5..) => Outcome::Done,
            _ => Outcome::Snooze(Duration::from_secs(1)),
        }
    };
    let running = Running::start(stand.worker().state(probe).register(snooze)).await;

    stand.enqueue([7]).await;

    for _ in 0..6 {
        assert_eq!(watch.started().await, (7, 1));
    }
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.snoozed, report.completed, report.failed), (5, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_leaves_no_dead_letter() {
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(async |_: Note| Outcome::Cancel("void".into()))).await;

    stand.enqueue([7]).await;

    stand.wait_for_empty("mail").await;
    assert_eq!(stand.broker.depth("mail.dead").map(|depth| depth.ready), Some(0));
    assert_eq!(running.stop_mail().await.cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn panics_and_timeouts_are_failures_with_their_own_reason() {
    let stand = Stand::new();
    let fail = async |note: Note| -> () {
        match note.number {
            0 => panic!("no such number"),
            _ => std::future::pending().await,
        }
    };
    let running = Running::start(stand.worker().register(fail)).await;

    stand
        .producer
        .enqueue(Note { number: 0 })
        .max_attempts(1)
        .await
        .expect("stored");
    stand
        .producer
        .enqueue(Note { number: 1 })
        .max_attempts(1)
        .await
        .expect("stored");

    let mut dead = stand.dead_letters(2).await;
    dead.sort_by(|one, other| one.body.cmp(&other.body));
    assert_eq!(text(&dead[0], "leveret-failure-reason"), "panicked");
    assert_eq!(
        text(&dead[0], "leveret-failure-error"),
        "the handler panicked: no such number"
    );
    assert_eq!(text(&dead[1], "leveret-failure-reason"), "timed_out");
    assert!(text(&dead[1], "leveret-failure-error").contains("30s"));
    assert_eq!(running.stop_mail().await.failed, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_set_for_one_job_wins_over_its_type() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let slow = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        assert_eq!(
            (context.max_attempts(), context.timeout()),
            (2, Duration::from_millis(50))
        );
        std::future::pending::<()>().await;
    };
    let running = Running::start(stand.worker().state(probe).register(slow)).await;

    let job = stand.producer.enqueue(Note { number: 7 });
    job.max_attempts(2)
        .timeout(Duration::from_millis(50))
        .await
        .expect("stored");

    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!([watch.started().await, watch.started().await], [(7, 1), (7, 2)]);
    assert!(
        text(&dead, "leveret-failure-error").contains("50ms"),
        "{}",
        text(&dead, "leveret-failure-error")
    );
    assert!(watch.nothing_started());
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_message_with_a_body_and_a_type_is_a_job_whose_id_is_fixed_at_its_first_retry() {
    // Given a foreign message without an id
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        Err(format!("{} {}", context.id().is_stable(), context.id()))
    };
    let running = Running::start(stand.worker().state(probe).register(fail)).await;

    stand.foreign(Some("note"), br#"{"number": 7}"#);

    let dead = stand.dead_letters(1).await.remove(0);
    for attempt in 1..=3 {
        assert_eq!(watch.started().await, (7, attempt));
    }
    let id = dead.properties.message_id.clone().expect("it has one now");
    assert_eq!(text(&dead, "leveret-failure-error"), format!("true {id}"));
    drop(running);
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = MAIL, name = "memo", alias = "note")]
struct Memo {
    number: u64,
}

#[tokio::test(start_paused = true)]
async fn a_job_under_its_former_name_still_runs() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let memo = async |memo: Memo, State(probe): State<Probe>, context: Context| {
        assert_eq!(context.job_name(), "note");
        probe.run(memo.number, &context);
    };
    let running = Running::start(stand.worker().state(probe).register(memo)).await;

    stand.enqueue([7]).await;

    assert_eq!(watch.started().await, (7, 1));
    stand.wait_for_empty("mail").await;
    drop(running);
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = Queue::new("greetings"))]
struct Greeting {}

#[tokio::test(start_paused = true)]
async fn a_handler_enqueues_on_the_workers_own_connections() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let follow = async |_: Note, producer: leveret::Producer| -> Result<(), leveret::EnqueueError> {
        producer.enqueue(Greeting {}).await.map(drop)
    };
    let greet = async |_: Greeting, State(probe): State<Probe>, context: Context| probe.run(1, &context);
    let running = Running::start(stand.worker().state(probe).register(follow).register(greet)).await;

    stand.enqueue([7]).await;

    assert_eq!(watch.started().await, (1, 1));
    drop(running);
}
