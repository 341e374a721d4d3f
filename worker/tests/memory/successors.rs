//! Nothing is acked before its successor is confirmed.

use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPoint};
use leveret::{Job, Queue, TopologyMode};
use leveret_worker::{Context, JobError, Outcome, State};
use serde::{Deserialize, Serialize};

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn a_job_is_held_until_its_retry_is_confirmed() {
    // Given a broker that stores but answers only after ten seconds
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(fail_once)).await;
    stand.broker.set_faults(|point| match point {
        FaultPoint::Publish => Fault::DelayAnswer(Duration::from_secs(10)),
        _ => Fault::None,
    });
    stand.store(Note { number: 7 });

    // When it fails
    assert_eq!(watch.started().await, (7, 1));
    assert_eq!(watch.started().await, (7, 2));

    // Then the failed attempt is not acked while nobody has confirmed the next, which has run meanwhile
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(stand.broker.depth("mail").map(|depth| depth.unacked), Some(1));
    stand.wait_for_empty("mail").await;
    assert_eq!(running.stop_mail().await.retried, 1);
}

/// Fails at the first attempt.
async fn fail_once(note: Note, State(probe): State<Probe>, context: Context) -> Result<(), String> {
    probe.run(note.number, &context);
    match context.attempt() {
        1 => Err("not yet".to_owned()),
        _ => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_retry_is_refused_is_held_meanwhile_and_then_tried_again_on_the_same_delivery() {
    // Given a broker that refuses whatever is published
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail_once = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), JobError> {
        let failed = fail_once(note, State(probe), context).await;
        failed.map_err(|error| JobError::retry_in(Duration::ZERO, error))
    };
    let running = Running::start(stand.worker().state(probe).register(fail_once)).await;
    stand.nack_publishes();
    stand.store(Note { number: 7 });
    assert_eq!(watch.started().await, (7, 1));
    let failed = tokio::time::Instant::now();

    // Then it is not given back, and its second attempt comes after a pause, however full the queue
    assert_eq!(watch.started().await, (7, 2));
    assert!(!failed.elapsed().is_zero());
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.failed, report.retried), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_retry_has_to_wait_and_is_refused_is_held_until_it_is_stored_and_is_not_early() {
    // Given a job that wants to come again in a minute, and a broker that refuses whatever is published
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail_once = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), JobError> {
        let failed = fail_once(note, State(probe), context).await;
        failed.map_err(|error| JobError::retry_in(Duration::from_secs(60), error))
    };
    let running = Running::start(stand.worker().state(probe).register(fail_once)).await;
    stand.nack_publishes();
    stand.store(Note { number: 7 });
    assert_eq!(watch.started().await, (7, 1));
    let failed = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(stand.broker.depth("mail").map(|depth| depth.unacked), Some(1));

    // When it takes them again, before the minute is over
    stand.broker.heal();

    // Then it comes when it is due: the time in hand counts
    assert_eq!(watch.started().await, (7, 2));
    let waited = failed.elapsed();
    assert!(
        waited >= Duration::from_secs(60) && waited < Duration::from_millis(60_500),
        "{waited:?}"
    );
    stand.wait_for_empty("mail").await;
    assert_eq!(running.stop_mail().await.retried, 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_to_wait_is_not_early_where_there_is_no_ladder_to_wait_in() {
    // Given a queue that was made without a ladder, and workers that declare nothing
    for mode in [TopologyMode::None, TopologyMode::Verify] {
        let stand = Stand::new();
        stand.rabbit.declare(&MAIL).await.expect("declared");
        let stand = Stand::on(stand.broker, mode);
        let (probe, mut watch) = probe();
        // Odd ones fail, the others put themselves off.
        let later = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<Outcome, JobError> {
            probe.run(note.number, &context);
            match note.number % 2 {
                0 => Ok(Outcome::Snooze(Duration::from_secs(60))),
                _ => Err(JobError::retry_in(Duration::from_secs(60), "not yet")),
            }
        };
        let running = Running::start(stand.worker().state(probe).register(later)).await;

        // When they ask to come again in a minute
        for number in [1, 2] {
            stand.store(Note { number });
        }
        assert_eq!((watch.started().await, watch.started().await), ((1, 1), (2, 1)));
        tokio::time::sleep(Duration::from_secs(59)).await;

        // Then they are held, and run once
        assert!(watch.nothing_started(), "{mode:?}");
        let depth = stand.broker.depth("mail").expect("declared");
        assert_eq!((depth.ready, depth.unacked), (0, 2), "{mode:?}");
        drop(running);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_headers_leave_no_room_for_a_wait_is_a_dead_letter_and_not_early() {
    // Given a job whose headers nearly fill the frame
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let later = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        Outcome::Snooze(Duration::from_secs(60))
    };
    let running = Running::start(stand.worker().state(probe).register(later)).await;
    let mut message = foreign(Some("note"), br#"{"number":7}"#);
    let headers = &mut message.properties.headers;
    headers.insert("large".to_owned(), "x".repeat(115_000).into());

    // When it puts itself off
    let mail = leveret::broker::Destination::queue("mail");
    stand.broker.publish_raw(&mail, &message).expect("stored");

    // Then it has run once
    assert_eq!(watch.started().await, (7, 1));
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-reason"), "failed");
    assert!(watch.nothing_started());
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn due_jobs_of_a_full_queue_come_beside_it_and_die_as_its_own() {
    // Given a worker on a queue with room for one job
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let small = MAIL.max_length(1);
    let fail = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.hold(note.number, &context).await;
        Err("no".to_owned())
    };
    let builder = stand.worker().state(probe).register(fail).route::<Note>(small.clone());
    let running = Running::start(builder.concurrency(&small, 1).prefetch(&small, 1)).await;
    let waiting = Note { number: 7 };
    let delayed = stand
        .producer
        .enqueue(waiting)
        .queue(&small)
        .delay(Duration::from_secs(5));
    delayed.max_attempts(1).await.expect("stored");

    // When the queue is full, and it becomes due
    for number in 0..3 {
        stand
            .producer
            .enqueue(Note { number })
            .queue(&small)
            .max_attempts(1)
            .await
            .expect("stored");
    }
    assert_eq!(watch.started().await, (0, 1));
    stand
        .wait_for("mail.due", |depth| depth.ready + depth.unacked == 1)
        .await;
    watch.let_go(4);

    // Then it runs as the others do, one at a time, and becomes a dead letter of the queue
    let mut rest = Vec::new();
    for _ in 0..3 {
        rest.push(watch.started().await.0);
    }
    rest.sort_unstable();
    assert_eq!(rest, [1, 2, 7]);
    assert_eq!(stand.dead_letters(4).await.len(), 4);
    stand.wait_for_empty("mail.due").await;
    assert_eq!(running.stop_mail().await.dead_lettered, 4);
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = Queue::new("held").classic(), timeout = "30s", max_attempts = 1)]
struct Held {
    number: u64,
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_its_successor_holds_no_slot() {
    // Given one slot, and a broker that takes no publishes
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let builder = stand
        .worker()
        .state(probe)
        .register(fail_once)
        .concurrency(&MAIL, 1)
        .prefetch(&MAIL, 10);
    let running = Running::start(builder).await;
    stand.broker.block("disk");
    for number in 0..3 {
        stand.store(Note { number });
    }

    // Then all run, one after another
    for number in 0..3 {
        assert_eq!(watch.started().await, (number, 1));
    }
    assert_eq!(stand.broker.depth("mail").map(|depth| depth.unacked), Some(3));

    // And all come again once it takes them
    stand.broker.unblock();
    for _ in 0..3 {
        assert_eq!(watch.started().await.1, 2);
    }
    stand.wait_for_empty("mail").await;
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_given_back_before_the_broker_loses_patience() {
    // Given a dead letter that has no other way than its copy, and a broker that takes no copy
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail = async |job: Held, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(job.number, &context);
        Err("no".to_owned())
    };
    let running = Running::start(stand.worker().state(probe).register(fail)).await;
    stand.nack_publishes();
    stand.store(Held { number: 7 });
    assert_eq!(watch.started().await, (7, 1));

    // Then the job is given back a minute before the broker's half hour is over
    let before = tokio::time::Instant::now();
    assert_eq!(watch.started().await, (7, 1));
    assert_eq!(before.elapsed().as_secs() / 60, 29);
    drop(running);
}
