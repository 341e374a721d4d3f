//! Running until nothing is left to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPoint};
use leveret::{ConnectOptions, Job, Producer, Rabbit, TopologyMode};
use leveret_worker::{Context, ExitReport, Fetcher, JobError, KillSwitch, Outcome, State, WorkerBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::kit::*;

async fn hold(note: Note, State(probe): State<Probe>, context: Context) {
    probe.hold(note.number, &context).await;
}

/// Number 3 fails once, number 5 always, number 7 is rejected.
async fn mixed(note: Note, context: Context) -> Result<(), JobError> {
    match (note.number, context.attempt()) {
        (3, 1) | (5, _) => Err(JobError::retry_in(Duration::ZERO, "not now")),
        (7, _) => Err(JobError::reject("never")),
        _ => Ok(()),
    }
}

async fn drain(builder: WorkerBuilder) -> ExitReport {
    let worker = builder.build().expect("well put together");
    tokio::time::timeout(Duration::from_secs(7_200), worker.drain())
        .await
        .expect("it ends")
        .expect("it could run")
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_when_every_job_is_done_or_a_dead_letter() {
    let stand = Stand::new();
    stand.enqueue(0..20).await;

    let report = drain(stand.worker().register(mixed)).await;

    let mail = report.queue("mail").expect("consumed");
    assert_eq!((mail.completed, mail.retried, mail.dead_lettered), (18, 3, 2));
    assert!(report.is_drained() && report.is_clean());
    let seen = report.unseen().and_then(|unseen| unseen.queue("mail")).expect("asked");
    assert_eq!((seen.ready, seen.other_consumers), (0, 0));
    stand.wait_for_empty("mail").await;
    assert_eq!(stand.dead_letters(2).await.len(), 2);
    let told = report.to_string();
    assert!(
        told.contains("; drained; mail: 0 ready when last asked, 0 other consumers"),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_is_drained_at_once() {
    let stand = Stand::new();
    let begun = tokio::time::Instant::now();

    let report = drain(stand.worker().register(mixed)).await;

    assert!(report.is_drained());
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_broker_is_asked_only_while_the_worker_is_idle() {
    // Given a job that takes long, and someone who counts the questions
    let stand = Stand::new();
    stand.enqueue([1]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    stand.broker.set_faults(move |point| {
        count.fetch_add(usize::from(point == FaultPoint::Inspect), Ordering::SeqCst);
        Fault::None
    });
    // Not so long that the consumer is looked after: that is asked for after 15 seconds in which nothing came.
    let slow = async |_: Note| tokio::time::sleep(Duration::from_secs(14)).await;

    // When
    let report = drain(stand.worker().register(slow)).await;

    // Then: two looks that end it, and one after the end, at the queue and at its suspects; and one for what is not due
    assert!(report.is_drained());
    assert_eq!(report.queue("mail").map(|mail| mail.completed), Some(1));
    assert_eq!(asked.load(Ordering::SeqCst), 3 * 2 + 1);
}

#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = "letters", timeout = "30s")]
struct Letter {
    number: u64,
}

#[tokio::test(start_paused = true)]
async fn jobs_that_follow_from_jobs_are_drained_as_well() {
    // Given notes whose letters go to another queue, and letters whose notes come back to the first
    let stand = Stand::new();
    let notes = async |note: Note, producer: Producer| -> Result<(), leveret::EnqueueError> {
        if note.number > 0 {
            producer
                .enqueue(Letter {
                    number: note.number - 1,
                })
                .await?;
        }
        Ok(())
    };
    let letters = async |letter: Letter, producer: Producer| -> Result<(), leveret::EnqueueError> {
        producer.enqueue(Note { number: letter.number }).await.map(drop)
    };
    stand.enqueue([50]).await;

    let report = drain(stand.worker().register(notes).register(letters)).await;

    let completed = |queue| report.queue(queue).map(|queue| queue.completed);
    assert_eq!((completed("mail"), completed("letters")), (Some(51), Some(50)));
    stand.wait_for_empty("mail").await;
    stand.wait_for_empty("letters").await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_outlives_a_lost_connection() {
    // Given a drain with a running job and others behind it
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    stand.enqueue(0..5).await;
    let builder = stand.worker().state(probe).register(hold).concurrency(&MAIL, 1);
    let worker = builder.build().expect("well put together");
    let handle = worker.handle();
    let draining = tokio::spawn(worker.drain());
    assert_eq!(watch.started().await, (0, 1));

    // When its connection is cut and comes back, and the jobs may go on
    let state = handle.state();
    stand.broker.drop_connections_named("leveret (consume)");
    handle.changed(&state).await;
    assert!(handle.ready().await);
    watch.let_go(5);

    // Then each job is done, once
    let report = draining.await.expect("no panic").expect("it could run");
    let mail = report.queue("mail").expect("consumed");
    assert!(report.is_drained());
    assert_eq!(mail.completed, 5);
    stand.wait_for_empty("mail").await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_ends_a_drain_that_would_not_end() {
    // Given a job that asks to come again for ever
    let stand = Stand::new();
    stand.enqueue([1]).await;
    let runs = Arc::new(Semaphore::new(0));
    let again = async |_: Note, State(runs): State<Arc<Semaphore>>| {
        runs.add_permits(1);
        Outcome::Snooze(Duration::ZERO)
    };
    let worker = stand
        .worker()
        .state(runs.clone())
        .register(again)
        .build()
        .expect("well");

    // When
    let limit = async { drop(runs.acquire_many(100).await) };
    let report = worker.drain_until(limit).await.expect("it could run");

    // Then it ends in order, says that it was not drained, and the job is still there
    assert!(!report.is_drained() && report.is_clean());
    let seen = report.unseen().and_then(|unseen| unseen.queue("mail")).expect("asked");
    assert_eq!(seen.ready, 1);
    assert!(report.to_string().contains("not drained; mail: 1 ready"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_says_that_others_may_hold_jobs() {
    // Given another process whose worker holds a job
    let stand = Stand::new();
    let broker = Arc::new(stand.broker.clone());
    let other_rabbit = Rabbit::with_broker(broker, ConnectOptions::default()).expect("in a runtime");
    let (probe, mut watch) = probe();
    let other = leveret_worker::Worker::builder(&other_rabbit)
        .state(probe)
        .register(hold);
    let other = Running::start(other).await;
    stand.enqueue([1]).await;
    assert_eq!(watch.started().await, (1, 1));

    // When
    let report = drain(stand.worker().register(mixed)).await;

    // Then
    assert!(report.is_drained());
    let seen = report.unseen().and_then(|unseen| unseen.queue("mail")).expect("asked");
    assert_eq!((seen.ready, seen.other_consumers), (0, 1));
    assert!(
        report.to_string().ends_with("(what they hold cannot be seen)"),
        "{report}"
    );
    watch.let_go(1);
    assert!(other.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_a_drain_waits_until_the_broker_must_have_noticed() {
    // Given another worker on the queue: its consumer cannot be told from the one that this worker has just lost
    for (others, least) in [(false, 0), (true, 25)] {
        let stand = Stand::new();
        let broker = Arc::new(stand.broker.clone());
        let named = ConnectOptions::default().connection_name("other");
        let other_rabbit = Rabbit::with_broker(broker, named).expect("in a runtime");
        let other = leveret_worker::Worker::builder(&other_rabbit).register(mixed);
        let _other = if others {
            Some(Running::start(other).await)
        } else {
            None
        };
        let (probe, mut watch) = probe();
        let worker = stand
            .worker()
            .state(probe)
            .register(hold)
            .build()
            .expect("well put together");
        let handle = worker.handle();
        let draining = tokio::spawn(worker.drain());
        assert!(handle.ready().await);
        // Every other job goes to this worker.
        stand.enqueue(0..4).await;
        watch.started().await;

        // When its connection is lost
        let lost = tokio::time::Instant::now();
        let state = handle.state();
        stand.broker.drop_connections_named("leveret (consume)");
        handle.changed(&state).await;
        watch.let_go(9);

        // Then it ends once the broker would have given back what was on it
        let report = draining.await.expect("no panic").expect("it could run");
        assert!(report.is_drained());
        let waited = lost.elapsed().as_secs();
        assert!(
            (least..least + 10).contains(&waited),
            "{waited} s with others: {others}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_although_a_kill_switch_waits_for_good_probes() {
    // Given a queue that is empty once its kill switch trips
    let stand = Stand::new();
    for number in 0..5 {
        let last = stand.producer.enqueue(Note { number }).max_attempts(1);
        last.await.expect("stored");
    }
    let switch = KillSwitch::new().minimum(5).pause(Duration::from_secs(30));
    let fail = async |_: Note| Err::<(), _>("the mail server is away");

    // When
    let begun = tokio::time::Instant::now();
    let report = drain(stand.worker().register(fail).kill_switch(&MAIL, switch)).await;

    // Then it ends after the pause
    assert_eq!(report.queue("mail").map(|mail| mail.dead_lettered), Some(5));
    assert!(report.is_drained() && begun.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_bounded_queue_whose_queue_for_due_jobs_nobody_made_is_drained_and_fetched_from() {
    // Given a worker that declares nothing
    let bounded = MAIL.max_length(100);
    let stand = Stand::new();
    stand.rabbit.declare(&bounded).await.expect("declared");
    assert!(stand.broker.delete_queue("mail.due"));
    let stand = Stand::on(stand.broker, TopologyMode::None);
    stand.store(Note { number: 1 });
    stand.store(Note { number: 2 });

    // When a fetcher takes one job, and a drain the rest
    let mut fetcher = Fetcher::connect(&stand.rabbit, &bounded).await.expect("connected");
    let fetched = fetcher.fetch::<Note>().await.expect("connected").expect("one is there");
    fetched.settle(()).await.expect("settled");
    fetcher.close().await;
    let report = drain(stand.worker().register(mixed).route::<Note>(bounded)).await;

    // Then
    assert!(report.is_drained());
    assert_eq!(report.queue("mail").map(|mail| mail.completed), Some(1));
    stand.wait_for_empty("mail").await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_drain() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    stand.enqueue(0..3).await;
    let builder = stand.worker().state(probe).register(hold).concurrency(&MAIL, 1);
    let worker = builder.build().expect("well put together");
    let handle = worker.handle();
    let draining = tokio::spawn(worker.drain());
    assert_eq!(watch.started().await, (0, 1));

    handle.shutdown();
    watch.let_go(1);

    let report = draining.await.expect("no panic").expect("it could run");
    assert!(!report.is_drained() && report.is_clean());
    assert_eq!(
        report
            .unseen()
            .and_then(|unseen| unseen.queue("mail"))
            .map(|seen| seen.ready),
        Some(2)
    );
}
