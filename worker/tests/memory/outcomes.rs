//! What a handler's end does to its job.

use std::time::Duration;

use leveret_worker::{Context, JobError, Outcome, State};

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn a_job_that_succeeds_is_acked() {
    // Given a worker
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(async |_: Note| {})).await;

    // When jobs are enqueued
    stand.enqueue(0..100).await;

    // Then all are done and nothing is left
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.failed, report.left_unacked), (100, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_is_tried_again_and_then_becomes_an_annotated_dead_letter() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        Err(format!("no {} today", note.number))
    };
    let running = Running::start(stand.worker().state(probe).register(fail)).await;

    stand.enqueue([7]).await;

    let dead = stand.dead_letters(1).await.remove(0);
    for attempt in 1..=3 {
        assert_eq!(watch.started().await, (7, attempt));
    }
    assert_eq!(&dead.body[..], br#"{"number":7}"#);
    assert_eq!(text(&dead, "leveret-failure-reason"), "failed");
    assert_eq!(text(&dead, "leveret-failure-error"), "no 7 today");
    assert_eq!(
        (
            text(&dead, "leveret-failure-queue"),
            text(&dead, "leveret-failure-worker")
        ),
        ("mail", "tests")
    );
    assert_eq!(
        (int(&dead, "leveret-attempt"), int(&dead, "leveret-hop")),
        (Some(3), Some(3))
    );
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.failed, report.retried, report.dead_lettered), (3, 2, 1));
}
