//! What a handle shows, and what it must not keep.

use leveret::Job;
use leveret::broker::memory::MemoryBroker;
use leveret_worker::{Context, Fetcher, QueueState, State, Worker};
use serde::{Deserialize, Serialize};

use crate::kit::*;

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "other")]
struct Other {}

async fn done(_: Note) {}

#[tokio::test(start_paused = true)]
async fn a_handle_keeps_no_connections_of_a_worker_that_is_gone() {
    // Given a worker with connections of its own, and a handle to it
    let broker = MemoryBroker::named("handle-without-worker");
    let worker = Worker::builder("memory://handle-without-worker").register(done);
    let running = Running::start(worker).await;
    let handle = running.handle.clone();
    assert!(handle.producer().is_some());
    assert_eq!(broker.connections(), 2);

    // When the worker is dropped in the midst of its run
    running.kill().await;
    settled_down().await;

    // Then nothing is left of it but what the handle says
    assert_eq!(broker.connections(), 0);
    assert!(handle.producer().is_none());
    assert!(!handle.health().is_alive());
    assert_eq!(handle.state()["mail"], QueueState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_worker_that_never_runs_learns_that_it_is_gone() {
    let worker = Worker::builder("memory://never-run")
        .register(done)
        .build()
        .expect("well");
    let handle = worker.handle();
    assert_eq!(
        handle.health().to_string(),
        "not ready; mail: starting; mail.suspect: starting"
    );

    drop(worker);

    assert!(!handle.ready().await);
    handle.shutting_down().await;
    assert_eq!(
        handle.health().to_string(),
        "stopped; mail: stopped; mail.suspect: stopped"
    );
}

#[tokio::test(start_paused = true)]
async fn health_tells_outages_from_ends() {
    // Given a worker that consumes
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(done)).await;
    let handle = running.handle.clone();
    assert_eq!(
        handle.health().to_string(),
        "ready; mail: consuming; mail.suspect: consuming"
    );

    // When the broker goes away
    stand.broker.refuse_connections(true);
    stand.broker.drop_connections();
    handle.changed(&handle.state()).await;

    // Then it is not ready, says why, and is alive
    let health = handle.health();
    assert!(!health.is_ready() && health.is_alive());
    assert!(health.to_string().starts_with("not ready; mail: down ("), "{health}");

    // And when it ends, both are over, and whoever waits for that is told
    let shutting_down = tokio::spawn({
        let handle = handle.clone();
        async move { handle.shutting_down().await }
    });
    drop(running.stop().await);
    shutting_down.await.expect("no panic");
    assert!(!handle.health().is_ready() && !handle.health().is_alive());
}

#[tokio::test(start_paused = true)]
async fn workers_a_fetcher_and_producers_share_one_rabbit() {
    // Given two workers with queues of their own, a fetcher, and a producer, on the same connections
    let stand = Stand::new();
    let staging = leveret::Queue::new("staging");
    let first = Running::start(stand.worker().register(done)).await;
    let second = Running::start(stand.worker().register(done).route::<Note>(staging.clone())).await;
    let mut fetcher = Fetcher::connect(&stand.rabbit, &leveret::Queue::new("batch"))
        .await
        .expect("connected");
    let producer = first.handle.producer().expect("it runs");

    // When each gets a job
    producer.enqueue(Note { number: 1 }).await.expect("stored");
    producer
        .enqueue(Note { number: 2 })
        .queue(&staging)
        .await
        .expect("stored");
    let batch = leveret::Queue::new("batch");
    producer
        .enqueue(Note { number: 3 })
        .queue(&batch)
        .await
        .expect("stored");
    let fetched = fetcher.fetch::<Note>().await.expect("connected").expect("there is one");
    fetched.settle(()).await.expect("settled");
    stand.wait_for_empty("mail").await;
    stand.wait_for_empty("staging").await;

    // Then there are two connections, and the end of one worker ends nothing for the others
    assert_eq!(stand.broker.connections(), 2);
    assert_eq!(first.stop_mail().await.completed, 1);
    assert!(second.handle.is_ready());
    assert_eq!(fetcher.close().await.completed, 1);
    let report = second.stop().await;
    assert_eq!(report.queue("staging").map(|queue| queue.completed), Some(1));
    assert_eq!(stand.broker.connections(), 2, "the application's own");
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_alive_until_its_last_queue_has_stopped() {
    // Given a worker of two queues, with a job that runs in one of them
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let hold = async |note: Note, State(probe): State<Probe>, context: Context| probe.hold(note.number, &context).await;
    let worker = stand.worker().state(probe).register(hold).register(async |_: Other| {});
    let running = Running::start(worker).await;
    let handle = running.handle.clone();
    stand.enqueue([7]).await;
    watch.started().await;

    // When it is asked to end, and the other queue has stopped
    handle.shutdown();
    while handle.state()["other"] != QueueState::Stopped {
        handle.changed(&handle.state()).await;
    }

    // Then it is alive as long as the job runs
    assert!(handle.health().is_alive(), "{}", handle.health());
    watch.let_go(1);
    assert!(running.join().await.is_clean());
    assert!(!handle.health().is_alive());
}
