//! How a worker ends.

use std::process::Command;
use std::time::Duration;

use leveret_tests::signal::soon;
use leveret_worker::{Context, QueueState, State};

use crate::kit::*;

async fn hold(note: Note, State(probe): State<Probe>, context: Context) {
    probe.hold(note.number, &context).await;
}

#[tokio::test]
async fn running_jobs_finish_and_untouched_ones_return_at_once() {
    // Given one running job and ten more fetched
    let bench = Bench::new(own_queue("drained")).await;
    let probe = Probe::new();
    let builder = bench.worker().state(probe.clone()).register(hold);
    let running = Running::start(builder.concurrency(&bench.queue, 1).prefetch(&bench.queue, 11)).await;
    bench.enqueue(0..11).await;
    probe.gate.wait_for_arrivals(1).await;
    bench.wait_for_ready(0).await;

    // When the worker is asked to end
    running.handle.shutdown();

    // Then the untouched are there for others while the running one goes on, and that is acked
    bench.wait_for_ready(10).await;
    assert_eq!(running.handle.state()[bench.queue.name()], QueueState::Draining);
    probe.gate.open();
    let report = running.join().await;
    assert!(report.is_clean());
    let queue = report.queue(bench.queue.name()).expect("consumed");
    assert_eq!((queue.completed, queue.returned), (1, 10));
    bench.wait_for_ready(10).await;
}

#[tokio::test]
async fn what_outlives_the_grace_is_delivered_to_another_worker() {
    // Given a job that does not end
    let bench = Bench::new(own_queue("outlived")).await;
    let probe = Probe::new();
    let builder = bench
        .worker()
        .state(probe.clone())
        .register(hold)
        .shutdown_grace(Duration::from_millis(10));
    let running = Running::start(builder).await;
    bench.enqueue([7]).await;
    probe.gate.wait_for_arrivals(1).await;

    // When
    let report = running.stop().await;

    // Then it is said, and another worker has the job, as the same attempt
    assert!(!report.is_clean());
    assert_eq!(
        report
            .queue(bench.queue.name())
            .map(|queue| (queue.interrupted, queue.left_unacked)),
        Some((1, 1))
    );
    probe.gate.open();
    let other = Running::start(bench.worker().state(probe.clone()).register(hold)).await;
    probe.ends.wait_for(1).await;
    assert_eq!(probe.attempts(), [(7, 1), (7, 1)]);
    assert!(other.stop().await.is_clean());
    bench.wait_for_ready(0).await;
}

/// The only test of this process that signals it: the others do not listen.
#[tokio::test]
async fn the_first_signal_drains_and_the_second_aborts() {
    // Given a worker that listens to signals, with a job that does not end
    let bench = Bench::new(own_queue("signalled")).await;
    let probe = Probe::new();
    let worker = bench
        .worker()
        .state(probe.clone())
        .register(hold)
        .build()
        .expect("well put together");
    let handle = worker.handle();
    let task = tokio::spawn(worker.run_until_signal());
    assert!(soon("a worker that consumes", handle.ready()).await);
    bench.enqueue([7]).await;
    probe.gate.wait_for_arrivals(1).await;

    // When the first signal comes
    signal("-TERM");
    let mut state = handle.state();
    while state[bench.queue.name()] != QueueState::Draining {
        state = soon("the shutdown", handle.changed(&state)).await;
    }
    assert_eq!(probe.ends.count(), 0);

    // And the second
    signal("-INT");
    let report = soon("the end of the worker", task)
        .await
        .expect("no panic")
        .expect("it could run");

    // Then the job is left to others
    assert_eq!(
        report.queue(bench.queue.name()).map(|queue| queue.left_unacked),
        Some(1)
    );
    bench.wait_for_ready(1).await;
}

fn signal(which: &str) {
    let status = Command::new("kill")
        .args([which, &std::process::id().to_string()])
        .status();
    assert!(status.expect("kill is there").success());
}

#[tokio::test]
async fn acks_sent_just_before_the_end_are_not_lost() {
    // Given workers that end as soon as their jobs are done; a quorum queue forgets acks whose channel is closed at once
    let bench = Bench::new(own_queue("acks")).await;
    let probe = Probe::new();
    let run = async |note: Note, State(probe): State<Probe>, context: Context| probe.run(note.number, &context);
    for round in 1..=20 {
        let running = Running::start(
            bench
                .worker()
                .state(probe.clone())
                .register(run)
                .concurrency(&bench.queue, 50),
        )
        .await;
        bench.enqueue(0..50).await;
        probe.runs.wait_for(round * 50).await;

        // When it ends
        let report = running.stop_one().await;

        // Then none comes back
        assert_eq!((report.completed, report.left_unacked), (50, 0));
        bench.wait_for_ready(0).await;
    }
    assert_eq!(probe.runs.count(), 1_000);
}
