//! Handlers that block a thread.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret_tests::signal::Latch;
use leveret_worker::{Cause, Context, State};

use crate::kit::*;

#[derive(Clone)]
struct Barrier(Arc<Mutex<Receiver<()>>>);

impl Barrier {
    /// Blocks the thread until the test drops its end.
    fn wait(&self) {
        let _ = self.0.lock().expect("no panic").recv();
    }
}

#[tokio::test]
async fn a_blocking_handler_that_times_out_holds_its_slot_and_its_job_until_it_returns() {
    // Given one slot, and a handler that does not return when its time is up
    let bench = Bench::new(own_queue("stubborn")).await;
    let (probe, told) = (Probe::new(), Latch::new("the token"));
    let (open, opened) = channel();
    let block = {
        let told = told.clone();
        move |note: Note, State(probe): State<Probe>, State(barrier): State<Barrier>, context: Context| {
            probe.run(note.number, &context);
            if note.number == 0 && context.attempt() == 1 {
                while !context.is_cancelled() {
                    std::thread::yield_now();
                }
                assert_eq!(context.cancellation(), Some(Cause::TimedOut));
                told.set();
                barrier.wait();
                return Err("stopped");
            }
            Ok(())
        }
    };
    let builder = bench
        .worker()
        .state(probe.clone())
        .state(Barrier(Arc::new(Mutex::new(opened))))
        .register_blocking(block)
        .concurrency(&bench.queue, 1)
        .prefetch(&bench.queue, 1);
    let running = Running::start(builder).await;
    let job = bench.producer.enqueue(Note { number: 0 }).queue(&bench.queue);
    job.timeout(Duration::from_millis(100)).await.expect("stored");

    // When its time is up and another job waits
    told.wait().await;
    bench.enqueue([1]).await;
    bench.wait_for_ready(1).await;
    assert_eq!(probe.attempts(), [(0, 1)]);
    drop(open);

    // Then it is tried again only after it has returned, behind the other
    probe.runs.wait_for(3).await;
    assert_eq!(probe.attempts(), [(0, 1), (1, 1), (0, 2)]);
    let report = running.stop_one().await;
    assert_eq!((report.completed, report.failed, report.retried), (2, 1, 1));
}

#[tokio::test]
async fn blocking_handlers_fill_their_slots_and_leave_the_runtime_alone() {
    // Given a runtime of one thread
    let bench = Bench::new(own_queue("computing")).await;
    let probe = Probe::new();
    let (open, opened) = channel();
    let meet = |note: Note, State(probe): State<Probe>, State(barrier): State<Barrier>, context: Context| {
        probe.run(note.number, &context);
        barrier.wait();
    };
    let builder = bench
        .worker()
        .state(probe.clone())
        .state(Barrier(Arc::new(Mutex::new(opened))))
        .register_blocking(meet)
        .concurrency(&bench.queue, 4);
    let running = Running::start(builder).await;

    // When more jobs come than there are slots
    bench.enqueue(0..20).await;
    probe.runs.wait_for(4).await;

    // Then the rest comes afterwards, and all are done
    drop(open);
    probe.runs.wait_for(20).await;
    bench.wait_for_ready(0).await;
    let report = running.stop_one().await;
    assert_eq!((report.completed, report.left_unacked), (20, 0));
}
