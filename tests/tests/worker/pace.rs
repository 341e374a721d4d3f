//! Consumers that take each other's place, because jobs have turned out fast.

use leveret_tests::signal::Counter;
use leveret_worker::{Context, State};

use crate::kit::*;

/// What the handler counts: the jobs, and those that came again.
#[derive(Clone)]
struct Seen {
    all: Counter,
    again: Counter,
}

#[tokio::test]
async fn a_change_of_the_prefetch_counts_no_delivery_that_nobody_saw() {
    // Given handlers that are fast, so that each worker soon fetches more, while the broker has always one more job for it
    let bench = Bench::new(own_queue("pace")).await;
    let seen = Seen {
        all: Counter::new("jobs"),
        again: Counter::new("jobs that came again"),
    };
    let fast = async |_: Note, State(seen): State<Seen>, context: Context| {
        if context.is_redelivered() {
            seen.again.add();
        }
        seen.all.add();
    };

    // When many workers come, one after the other
    for round in 0..40 {
        bench.enqueue(0..300).await;
        let running = Running::start(bench.worker().state(seen.clone()).register(fast)).await;
        seen.all.wait_for((round + 1) * 300).await;
        running.stop_one().await;
    }

    // Then hardly a job came a second time, which the broker would have counted as it counts crashes. It was 18 for each change of the prefetch; a
    // worker that waits in vain for its fill, because the broker stands still for a moment, still has that many
    let again = seen.again.count();
    assert!(again <= 2 * 18, "{again}");
}
