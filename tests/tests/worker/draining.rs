//! Running until nothing is left to do.

use leveret_tests::signal::soon;
use leveret_tests::{Node, Proxy, taker};
use leveret_worker::{Context, ExitReport, JobError, RunError, State, Worker};

use crate::kit::*;

/// Of a hundred, one in ten fails once, number 42 always, number 77 is rejected.
async fn mixed(note: Note, State(probe): State<Probe>, context: Context) -> Result<(), JobError> {
    probe.run(note.number, &context);
    match (note.number, context.attempt()) {
        (77, _) => Err(JobError::reject("never")),
        (42, _) => Err(JobError::retry_in(std::time::Duration::ZERO, "not now")),
        (number, 1) if number % 10 == 0 => Err(JobError::retry_in(std::time::Duration::ZERO, "not now")),
        _ => Ok(()),
    }
}

fn drained(result: Result<ExitReport, RunError>) -> ExitReport {
    let report = result.expect("it could run");
    assert!(report.is_drained() && report.is_clean(), "{report}");
    report
}

#[tokio::test]
async fn a_drain_empties_a_queue_with_failing_and_retrying_jobs_and_reports() {
    // Given a hundred jobs
    let bench = Bench::new(own_queue("emptied")).await;
    bench.enqueue(0..100).await;
    let probe = Probe::new();
    let builder = bench.worker().state(probe.clone()).register(mixed);
    let worker = builder.concurrency(&bench.queue, 8).build().expect("well put together");

    // When
    let report = drained(soon("the end of the drain", worker.drain()).await);

    // Then each was done, or is a dead letter, and nothing is left
    let queue = report.queue(bench.queue.name()).expect("consumed");
    assert_eq!((queue.completed, queue.retried, queue.dead_lettered), (98, 12, 2));
    assert_eq!(probe.runs.count(), 112);
    let unseen = report
        .unseen()
        .and_then(|unseen| unseen.queue(bench.queue.name()))
        .expect("asked");
    assert_eq!((unseen.ready, unseen.other_consumers), (0, 0));
    bench.wait_for_ready(0).await;
    assert_eq!(bench.dead_letters(2).await.len(), 2);
}

async fn hold(note: Note, State(probe): State<Probe>, context: Context) {
    probe.hold(note.number, &context).await;
}

#[tokio::test]
async fn a_drain_says_that_another_worker_may_hold_jobs() {
    // Given another worker on the queue, with a job
    let bench = Bench::new(own_queue("shared-drain")).await;
    let probe = Probe::new();
    let other = Bench::at(&leveret_tests::shared().await.amqp_url(), bench.queue.clone()).await;
    let holding = Running::start(other.worker().state(probe.clone()).register(hold)).await;
    bench.enqueue([7]).await;
    probe.gate.wait_for_arrivals(1).await;

    // When
    let worker = bench
        .worker()
        .state(probe.clone())
        .register(hold)
        .build()
        .expect("well");
    let report = drained(soon("the end of the drain", worker.drain()).await);

    // Then
    let unseen = report
        .unseen()
        .and_then(|unseen| unseen.queue(bench.queue.name()))
        .expect("asked");
    assert_eq!((unseen.ready, unseen.other_consumers), (0, 1), "{report}");
    probe.gate.open();
    assert_eq!(holding.stop_one().await.completed, 1);
}

#[tokio::test]
async fn a_drain_outlives_a_lost_connection() {
    // Given a drain over a network, in the midst of its first job
    let node = Node::start().await;
    let proxy = Proxy::start(node.address()).await;
    let queue = own_queue("cut-drain");
    let bench = Bench::at(&node.amqp_url(), queue.clone()).await;
    bench.enqueue(0..20).await;
    let probe = Probe::new();
    let worker = Worker::builder(proxy.amqp_url())
        .route::<Note>(queue.clone())
        .state(probe.clone())
        .register(hold)
        .concurrency(&queue, 1)
        .prefetch(&queue, 10)
        .build()
        .expect("well put together");
    let handle = worker.handle();
    let draining = tokio::spawn(worker.drain());
    probe.gate.wait_for_arrivals(1).await;

    // When its connection is lost and replaced, with jobs fetched and not run
    let anew = tokio::spawn({
        let handle = handle.clone();
        async move {
            let mut state = handle.state();
            while handle.is_ready() {
                state = handle.changed(&state).await;
            }
            assert!(handle.ready().await);
        }
    });
    proxy.cut().await;
    soon("a worker that consumes again", anew).await.expect("no panic");
    probe.gate.open();

    // Then all twenty are done before it ends
    let report = drained(soon("the end of the drain", draining).await.expect("no panic"));
    let done = report.queue(queue.name()).expect("consumed");
    assert_eq!(done.completed, 20, "{report}");
    assert_eq!(taker::depth(&bench.rabbit, queue.name()).await, 0);
}
