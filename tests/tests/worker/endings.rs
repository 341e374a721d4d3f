//! What a handler's end does to its job, and what becomes of messages that no handler can run.

use leveret::broker::Destination;
use leveret::runtime::{Publish, Target};
use leveret::{DeadLetter, Job, Message};
use leveret_tests::signal::soon;
use leveret_tests::taker;
use leveret_worker::{Context, JobError, Outcome, State};
use serde::{Deserialize, Serialize};

use crate::kit::*;

#[tokio::test]
async fn ten_thousand_jobs_are_done_once_each_and_nothing_is_left() {
    // Given
    let bench = Bench::new(own_queue("many")).await;
    let probe = Probe::new();
    let run = async |note: Note, State(probe): State<Probe>, context: Context| probe.run(note.number, &context);
    let builder = bench
        .worker()
        .state(probe.clone())
        .register(run)
        .concurrency(&bench.queue, 100);

    // When
    bench.enqueue(0..10_000).await;
    let running = Running::start(builder).await;
    probe.runs.wait_for(10_000).await;
    let report = running.stop_one().await;

    // Then
    let mut numbers: Vec<u64> = probe.attempts().into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..10_000).collect::<Vec<_>>());
    assert_eq!((report.completed, report.left_unacked), (10_000, 0));
    bench.wait_for_ready(0).await;
}

#[tokio::test]
async fn a_job_is_retried_and_then_becomes_an_annotated_dead_letter() {
    let bench = Bench::new(own_queue("failing")).await;
    let probe = Probe::new();
    let fail = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        Err("no route to the printer".to_owned())
    };
    let running = Running::start(bench.worker().state(probe.clone()).register(fail)).await;

    let id = bench
        .producer
        .enqueue(Note { number: 7 })
        .queue(&bench.queue)
        .await
        .expect("stored");

    let dead = bench.dead_letters(1).await.remove(0);
    assert_eq!(probe.attempts(), [(7, 1), (7, 2), (7, 3)]);
    assert_eq!(dead.properties.message_id.as_deref(), Some(id.as_str()));
    assert_eq!(&dead.body[..], br#"{"number":7}"#);
    assert_eq!(text(&dead, "leveret-failure-reason"), "failed");
    assert_eq!(text(&dead, "leveret-failure-error"), "no route to the printer");
    assert_eq!(text(&dead, "leveret-failure-queue"), bench.queue.name());
    let report = running.stop_one().await;
    assert_eq!(
        (report.failed, report.retried, report.dead_lettered, report.left_unacked),
        (3, 2, 1, 0)
    );
}

#[tokio::test]
async fn each_failure_has_its_own_reason() {
    // Given a handler that fails in every way
    let bench = Bench::new(own_queue("reasons")).await;
    let fail = async |note: Note| -> Result<Outcome, JobError> {
        match note.number {
            0 => panic!("no such number"),
            1 => std::future::pending().await,
            2 => Err(JobError::reject("never")),
            3 => Err(JobError::retry_in(std::time::Duration::from_secs(1), "later")),
            _ => Ok(Outcome::Cancel("void".to_owned())),
        }
    };
    let running = Running::start(bench.worker().register(fail)).await;

    // When each way is tried once
    for number in 0..5 {
        let job = bench
            .producer
            .enqueue(Note { number })
            .queue(&bench.queue)
            .max_attempts(1);
        job.timeout(std::time::Duration::from_millis(50)).await.expect("stored");
    }

    // Then the dead letters tell them apart, and a cancelled job is none
    let mut reasons: Vec<(String, String)> = Vec::new();
    for dead in bench.dead_letters(4).await {
        let body = String::from_utf8(dead.body.to_vec()).expect("JSON");
        reasons.push((body, text(&dead, "leveret-failure-reason").to_owned()));
    }
    reasons.sort();
    let expected = ["panicked", "timed_out", "rejected", "failed"].into_iter().enumerate();
    let expected: Vec<_> = expected
        .map(|(at, reason)| (format!("{{\"number\":{at}}}"), reason.to_owned()))
        .collect();
    assert_eq!(reasons, expected);
    let report = running.stop_one().await;
    assert_eq!((report.cancelled, report.dead_lettered), (1, 4));
}

/// Publishes a message as another program would.
async fn publish(bench: &Bench, message: Message) {
    let target = Target {
        destination: Destination::queue(bench.queue.name()).into(),
        declarations: [].into(),
    };
    let publish = Publish {
        target,
        message,
        timeout: std::time::Duration::from_secs(10),
    };
    let publishing = bench.rabbit.successors().publish(publish).await;
    soon("a confirm", publishing).await.expect("stored");
}

#[tokio::test]
async fn what_cannot_be_run_becomes_a_dead_letter_with_its_bytes_intact() {
    for mode in [DeadLetter::Annotated, DeadLetter::Nack] {
        // Given a worker that knows notes
        let bench = Bench::new(own_queue("strange").dead_letter(mode)).await;
        let running = Running::start(bench.worker().register(async |_: Note| {})).await;

        // When messages come that are none, and one that is
        for (kind, body) in [
            (Some("note"), &b"\xff\x00"[..]),
            (Some("stranger"), b"{}"),
            (None, b""),
            (Some("note"), br#"{"number":1}"#),
        ] {
            let mut message = Message {
                body: body.into(),
                ..Message::default()
            };
            message.properties.kind = kind.map(Into::into);
            message.properties.message_id = Some(format!("{kind:?}").into());
            publish(&bench, message).await;
        }

        // Then they are kept as they came
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        let mut reasons = Vec::new();
        for dead in bench.dead_letters(3).await {
            bodies.push(dead.body.to_vec());
            reasons.push(text(&dead, "leveret-failure-reason").to_owned());
        }
        bodies.sort();
        reasons.sort();
        assert_eq!(bodies, [&b""[..], b"{}", b"\xff\x00"]);
        match mode {
            DeadLetter::Nack => assert_eq!(reasons, ["", "", ""]),
            _ => assert_eq!(reasons, ["undecodable", "unknown_type", "unknown_type"]),
        }
        let report = running.stop_one().await;
        assert_eq!((report.dead_lettered, report.left_unacked), (3, 0));
        assert_eq!(bench.dead_letter_count().await, 0);
    }
}

#[tokio::test]
async fn dead_letters_are_made_on_classic_queues_too() {
    let bench = Bench::new(own_queue("classic").classic()).await;
    let running = Running::start(bench.worker().register(async |_: Note| Err::<(), _>("no"))).await;

    bench.enqueue(0..100).await;

    let dead = bench.dead_letters(100).await;
    assert!(dead.iter().all(|dead| text(dead, "leveret-failure-reason") == "failed"));
    let report = running.stop_one().await;
    assert_eq!((report.failed, report.retried, report.dead_lettered), (300, 200, 100));
}

#[tokio::test]
async fn a_dead_letter_put_back_by_hand_runs_again_on_the_same_worker() {
    // Given a job that failed for good
    let bench = Bench::new(own_queue("redriven")).await;
    let probe = Probe::new();
    let flaky = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        match context.header("leveret-failure-reason") {
            None => Err(JobError::reject("not yet")),
            Some(_) => Ok(()),
        }
    };
    let running = Running::start(bench.worker().state(probe.clone()).register(flaky)).await;
    bench.enqueue([7]).await;
    let dead = bench.dead_letters(1).await.remove(0);

    // When its dead letter is moved back as it is
    publish(&bench, dead).await;

    // Then it runs
    probe.runs.wait_for(2).await;
    let report = running.stop_one().await;
    assert_eq!((report.completed, report.recognized, report.left_unacked), (1, 0, 0));
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "unused", timeout = "60s")]
struct Postcard {}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "unused", timeout = "60s")]
struct Thumbnail {}

#[tokio::test]
async fn many_types_share_a_queue_and_many_queues_a_worker() {
    // Given
    let (bench, images) = (Bench::new(own_queue("mail")).await, own_queue("images"));
    let probe = Probe::new();
    let note = async |_: Note, State(probe): State<Probe>, context: Context| probe.run(1, &context);
    let postcard = async |_: Postcard, State(probe): State<Probe>, context: Context| probe.run(2, &context);
    let thumbnail = async |_: Thumbnail, State(probe): State<Probe>, context: Context| probe.run(3, &context);
    let builder = bench
        .worker()
        .state(probe.clone())
        .register(note)
        .register(postcard)
        .register(thumbnail);
    let builder = builder
        .route::<Postcard>(bench.queue.clone())
        .route::<Thumbnail>(images.clone());
    let running = Running::start(builder).await;

    // When
    for _ in 0..20 {
        bench.enqueue([1]).await;
        bench
            .producer
            .enqueue(Postcard {})
            .queue(&bench.queue)
            .await
            .expect("stored");
        bench
            .producer
            .enqueue(Thumbnail {})
            .queue(&images)
            .await
            .expect("stored");
    }
    probe.runs.wait_for(60).await;

    // Then
    let report = running.stop().await;
    assert_eq!(report.queue(bench.queue.name()).map(|queue| queue.completed), Some(40));
    assert_eq!(report.queue(images.name()).map(|queue| queue.completed), Some(20));
    assert_eq!(taker::depth(&bench.rabbit, images.name()).await, 0);
}

#[tokio::test]
async fn a_slow_job_holds_nothing_back() {
    // Given two slots, and a job that does not end in one of them
    let bench = Bench::new(own_queue("slow")).await;
    let probe = Probe::new();
    let first_is_slow = async |note: Note, State(probe): State<Probe>, context: Context| match note.number {
        0 => probe.hold(note.number, &context).await,
        _ => probe.run(note.number, &context),
    };
    let builder = bench
        .worker()
        .state(probe.clone())
        .register(first_is_slow)
        .concurrency(&bench.queue, 2);
    let running = Running::start(builder).await;
    bench.enqueue([0]).await;
    probe.gate.wait_for_arrivals(1).await;

    // When a thousand more come, they are done while it runs
    bench.enqueue(1..=1_000).await;
    probe.runs.wait_for(1_001).await;
    assert_eq!(probe.ends.count(), 0);

    // Then it is still acked afterwards
    probe.gate.open();
    let report = running.stop_one().await;
    assert_eq!((report.completed, report.left_unacked), (1_001, 0));
    bench.wait_for_ready(0).await;
}
