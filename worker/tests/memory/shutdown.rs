//! How a worker ends, and what becomes of the jobs that it had.

use std::time::Duration;

use leveret::envelope::Incoming;
use leveret::{Job, Queue};
use leveret_worker::{Cause, Context, QueueState, State};
use serde::{Deserialize, Serialize};

use crate::kit::*;

async fn hold(note: Note, State(probe): State<Probe>, context: Context) {
    probe.hold(note.number, &context).await;
}

#[tokio::test(start_paused = true)]
async fn running_jobs_finish_and_untouched_ones_return() {
    // Given one running job and ten more fetched
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let builder = stand
        .worker()
        .state(probe)
        .register(hold)
        .concurrency(&MAIL, 1)
        .prefetch(&MAIL, 11);
    let running = Running::start(builder).await;
    stand.enqueue(0..11).await;
    assert_eq!(watch.started().await, (0, 1));
    stand.wait_for("mail", |depth| depth.unacked == 11).await;

    // When the worker is asked to end
    let handle = running.handle.clone();
    handle.shutdown();

    // Then the untouched return at once, and the running one is waited for and acked
    stand
        .wait_for("mail", |depth| (depth.ready, depth.unacked) == (10, 1))
        .await;
    assert_eq!(handle.state()["mail"], QueueState::Draining);
    watch.let_go(1);
    let report = running.join().await;
    assert!(report.is_clean());
    let mail = report.queue("mail").expect("consumed");
    assert_eq!((mail.completed, mail.returned, mail.left_unacked), (1, 10, 0));
    assert_eq!(handle.state()["mail"], QueueState::Stopped);
    assert_eq!(stand.broker.depth("mail").map(|depth| depth.ready), Some(10));
}

#[tokio::test(start_paused = true)]
async fn what_outlives_the_grace_is_aborted_and_delivered_again() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(
        stand
            .worker()
            .state(probe)
            .register(hold)
            .shutdown_grace(Duration::from_secs(10)),
    )
    .await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    let before = tokio::time::Instant::now();
    let report = running.stop().await;

    assert_eq!(before.elapsed().as_secs(), 10);
    assert!(!report.is_clean());
    let mail = report.queue("mail").expect("consumed");
    assert_eq!((mail.interrupted, mail.left_unacked), (1, 1));
    stand
        .wait_for("mail", |depth| (depth.ready, depth.unacked) == (1, 0))
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_running_jobs_at_once() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    let before = tokio::time::Instant::now();
    running.handle.shutdown();
    running.handle.abort();
    let report = running.join().await;

    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(report.queue("mail").map(|mail| mail.left_unacked), Some(1));
    stand.wait_for("mail", |depth| depth.ready == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_gives_up_at_the_shutdown_spends_no_attempt() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let polite = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        Err(format!("{:?}", context.cancelled().await))
    };
    let running = Running::start(stand.worker().state(probe).register(polite)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    let report = running.stop().await;

    assert!(report.is_clean());
    let mail = report.queue("mail").expect("consumed");
    assert_eq!((mail.interrupted, mail.failed, mail.retried), (1, 0, 0));
    let message = stand.broker.messages("mail").remove(0);
    assert_eq!(Incoming::read(&message).expect("a job").attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn a_running_handler_learns_of_the_shutdown_and_may_still_finish() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let finish = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        assert_eq!(context.cancelled().await, Cause::Shutdown);
    };
    let running = Running::start(stand.worker().state(probe).register(finish)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    assert_eq!(running.stop_mail().await.completed, 1);
    stand.wait_for_empty("mail").await;
}

#[tokio::test(start_paused = true)]
async fn the_successor_of_a_job_that_failed_during_the_shutdown_is_confirmed_before_the_end() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.hold(note.number, &context).await;
        Err("no".to_owned())
    };
    let running = Running::start(stand.worker().state(probe).register(fail)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));
    running.handle.shutdown();
    watch.let_go(1);

    let report = running.join().await;

    assert!(report.is_clean());
    assert_eq!(report.queue("mail").map(|mail| mail.retried), Some(1));
    let message = stand.delayed().remove(0);
    assert_eq!(int(&message, "leveret-attempt"), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_worker_lets_go_of_everything() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    let handle = running.handle.clone();
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    running.kill().await;

    stand
        .wait_for("mail", |depth| (depth.ready, depth.unacked) == (1, 0))
        .await;
    assert_eq!(handle.state()["mail"], QueueState::Stopped);
    assert!(!handle.ready().await);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_got_a_connection_ends_when_asked() {
    let stand = Stand::new();
    stand.broker.refuse_connections(true);
    let running = Running::start_unready(stand.worker().register(async |_: Note| {}));
    settled_down().await;
    assert!(!running.handle.is_ready());
    assert!(matches!(running.handle.state()["mail"], QueueState::Down { .. }));

    assert!(running.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_worker_closes_only_connections_of_its_own() {
    // Given one worker on shared connections and one on its own
    let stand = Stand::new();
    let shared = Running::start(stand.worker().register(async |_: Note| {})).await;
    assert!(shared.stop().await.is_clean());
    stand.enqueue([7]).await;

    let own = leveret_worker::Worker::builder("memory://own").register(async |_: Note| {});
    let broker = leveret::broker::memory::MemoryBroker::named("own");
    let own = Running::start(own).await;
    assert_eq!(broker.connections(), 2);
    assert!(own.stop().await.is_clean());
    assert_eq!(broker.connections(), 0);
}

const FRAIL: Queue = Queue::new("frail").delivery_limit(10);

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = FRAIL, timeout = "30s")]
struct Frail {
    number: u64,
}

#[tokio::test(start_paused = true)]
async fn rolling_restarts_make_no_dead_letters_of_jobs_that_were_never_touched() {
    // Given jobs in line behind a long one, on a queue that allows ten deliveries
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let hold = async |job: Frail, State(probe): State<Probe>, context: Context| probe.hold(job.number, &context).await;
    let builder = || {
        stand
            .worker()
            .state(probe.clone())
            .register(hold)
            .concurrency(&FRAIL, 1)
            .prefetch(&FRAIL, 6)
    };
    Running::start(builder())
        .await
        .stop()
        .await
        .queue("frail")
        .expect("declared");
    for number in 0..6 {
        stand.producer.enqueue(Frail { number }).await.expect("stored");
    }

    // When workers come and go, each fetching all and finishing none
    for _ in 0..150 {
        let running = Running::start(builder()).await;
        watch.started().await;
        stand.wait_for("frail", |depth| depth.unacked == 6).await;
        running.handle.shutdown();
        watch.let_go(1);
        running.join().await.queue("frail").expect("consumed");
        stand.producer.enqueue(Frail { number: 9 }).await.expect("stored");
        stand.wait_for("frail", |depth| depth.ready >= 6).await;
    }

    // Then every job is still there
    assert_eq!(stand.broker.depth("frail.dead").map(|depth| depth.ready), Some(0));
}

#[tokio::test(start_paused = true)]
async fn closing_the_connections_ends_the_worker_on_them() {
    // Given a worker with a running job, and one that waits
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let builder = stand.worker().concurrency(&MAIL, 1).state(probe).register(hold);
    let running = Running::start(builder).await;
    stand.enqueue([1, 2]).await;
    watch.started().await;

    // When the application closes the connections that it shares with it
    stand.rabbit.close().await;
    watch.let_go(1);

    // Then it ends without being asked to, and both jobs are in the broker
    let report = running.join().await;
    assert!(report.is_clean());
    stand
        .wait_for("mail", |depth| depth.ready == 2 && depth.unacked == 0)
        .await;
    assert!(watch.nothing_started());
}

#[tokio::test(start_paused = true)]
async fn an_abort_makes_no_suspects_of_what_was_in_line_or_had_failed() {
    // Given workers that are aborted in the midst of their work, with a job that runs, one that has failed and whose retry cannot
    // be stored, and eight in line
    let stand = Stand::new();
    let run = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.hold(note.number, &context).await;
        Err::<(), _>("the mail server is away")
    };
    stand.rabbit.declare(&MAIL).await.expect("declared");
    stand.enqueue(0..10).await;
    for _ in 0..4 {
        let (probe, mut watch) = probe();
        let builder = stand.worker().concurrency(&MAIL, 1).prefetch(&MAIL, 20);
        let running = Running::start(builder.state(probe).register(run)).await;
        watch.started().await;
        stand.nack_publishes();
        watch.let_go(1);
        watch.started().await;
        stand.wait_for("mail", |depth| depth.unacked == 10).await;
        stand.broker.heal();

        // When
        running.handle.abort();
        let report = running.join().await;

        // Then all go back, and none of them as one that may have crashed its worker
        let mail = report.queue("mail").expect("consumed");
        assert_eq!((mail.suspected, mail.returned), (0, 8));
        stand
            .wait_for("mail", |depth| (depth.ready, depth.unacked) == (10, 0))
            .await;
    }
}
