//! How far ahead jobs are fetched: narrowly at first, far once they have turned out fast, narrowly again once they have become slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPoint};
use leveret::{Job, Queue};
use leveret_worker::WorkerBuilder;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::kit::*;

const LONG: Queue = Queue::new("long");

/// A job that says nothing of how long it may run: as far as its worker knows, for 25 minutes.
#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = LONG)]
struct Nap {
    millis: u64,
}

async fn nap(job: Nap) {
    sleep(Duration::from_millis(job.millis)).await;
}

/// So many hours in milliseconds.
const fn hours(hours: u64) -> u64 {
    hours * 3_600_000
}

impl Stand {
    async fn naps(&self, count: usize, millis: u64) {
        for _ in 0..count {
            self.producer.enqueue(Nap { millis }).await.expect("stored");
        }
    }

    fn napping(&self) -> WorkerBuilder {
        self.worker().register(nap).concurrency(&LONG, 10)
    }

    async fn wait_for_held(&self, held: usize) {
        self.wait_for("long", |depth| depth.unacked == held).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_ahead_of_jobs_that_may_be_long() {
    // Given more jobs than slots, and nothing known of them
    let stand = Stand::new();
    stand.naps(50, 100).await;

    // When a worker begins
    let running = Running::start(stand.napping()).await;

    // Then it has as many as it runs
    stand.wait_for_held(10).await;
    assert_eq!(stand.broker.depth("long").expect("declared").ready, 40);
    let _report = running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_turn_out_fast_are_fetched_far_ahead_and_none_is_lost_or_run_twice() {
    // Given a hundred jobs that are done at once, and others behind them
    let stand = Stand::new();
    stand.naps(150, 1).await;
    stand.naps(400, 60_000).await;

    // When a worker gets through the first
    let running = Running::start(stand.napping()).await;

    // Then it holds 200 of those behind them
    stand
        .wait_for("long", |depth| (depth.unacked, depth.ready) == (200, 200))
        .await;

    // And at the end each was run once, by the same worker
    stand.wait_for_empty("long").await;
    let report = running.stop().await;
    let report = report.queue("long").expect("consumed");
    assert_eq!((report.completed, report.suspected, report.failed), (550, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_too_long_ends_the_fetching_ahead_and_goes_back() {
    // Given a worker that holds 200 jobs, of which ten run for hours
    let stand = Stand::new();
    stand.naps(150, 1).await;
    stand.naps(10, hours(1) / 3).await;
    stand.naps(300, 1).await;
    let running = Running::start(stand.napping()).await;
    stand.wait_for_held(200).await;

    // When what waits behind them has done so for as long as may be
    // Then it has gone back, for whoever has a slot
    stand.wait_for_held(10).await;

    // And once the ten are done, so are the others
    stand.wait_for_empty("long").await;
    let report = running.stop().await;
    let report = report.queue("long").expect("consumed");
    assert_eq!((report.completed, report.suspected), (460, 0));
    assert!(report.returned >= 190, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn jobs_that_become_slow_are_fetched_ahead_no_more() {
    // Given a worker whose jobs were fast and take two seconds now
    let stand = Stand::new();
    stand.naps(150, 1).await;
    stand.naps(600, 2_000).await;
    let running = Running::start(stand.napping()).await;
    stand.wait_for_held(200).await;

    // When it has seen a hundred of them
    // Then it has as many as it runs again
    stand.wait_for_held(10).await;
    assert!(stand.broker.depth("long").expect("declared").ready > 0);
    stand.wait_for_empty("long").await;
    let report = running.stop().await;
    let report = report.queue("long").expect("consumed");
    assert_eq!(
        (report.completed, report.returned),
        (750, 0),
        "those in hand are run and not given back"
    );
}

#[tokio::test(start_paused = true)]
async fn one_long_job_among_many_short_ones_is_left_on_a_channel_of_its_own() {
    // Given a worker that fetches far ahead, and a long job among many short ones
    let stand = Stand::new();
    let consumers = Arc::new(AtomicUsize::new(0));
    stand.broker.set_faults({
        let consumers = consumers.clone();
        move |point| {
            consumers.fetch_add(usize::from(point == FaultPoint::Consume), Ordering::SeqCst);
            Fault::None
        }
    });
    stand.naps(300, 1).await;
    stand.naps(1, hours(1) / 3).await;
    stand.naps(3_000, 1).await;

    // When the short ones are done
    let running = Running::start(stand.napping()).await;
    stand
        .wait_for("long", |depth| (depth.unacked, depth.ready) == (1, 0))
        .await;

    // Then there was a consumer at first, one for fast jobs, one for those behind the long one, and that of suspects
    assert_eq!(consumers.load(Ordering::SeqCst), 4);

    // And the long one was let run to its end, and ran once
    stand.wait_for_empty("long").await;
    let report = running.stop().await;
    let report = report.queue("long").expect("consumed");
    assert_eq!((report.completed, report.returned, report.recognized), (3_301, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_prefetch_that_was_set_holds_whatever_the_jobs_are_like() {
    // Given fast jobs, others behind them, and a prefetch of 12
    let stand = Stand::new();
    stand.naps(500, 1).await;
    stand.naps(50, 60_000).await;

    // When the fast ones are done
    let running = Running::start(stand.napping().prefetch(&LONG, 12)).await;
    stand.wait_for("long", |depth| depth.ready + depth.unacked <= 50).await;
    settled_down().await;

    // Then 12 are held
    let depth = stand.broker.depth("long").expect("declared");
    assert_eq!((depth.unacked, depth.ready), (12, 38));
    let _report = running.stop().await;
}
