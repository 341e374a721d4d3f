//! What a worker declares again while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leveret::TopologyMode;
use leveret::broker::memory::{Fault, FaultPoint, MemoryBroker};
use leveret_worker::{Context, State};

use crate::kit::*;

const JOBS: u64 = 20;
const DAY: Duration = Duration::from_secs(86_400);

async fn fail_once(note: Note, State(probe): State<Probe>, context: Context) -> Result<(), &'static str> {
    probe.run(note.number, &context);
    match context.attempt() {
        1 => Err("not yet"),
        _ => Ok(()),
    }
}

/// Counts what is declared.
fn count_declarations(broker: &MemoryBroker) -> Arc<AtomicU64> {
    let declared = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&declared);
    broker.set_faults(move |point| {
        counted.fetch_add(u64::from(point == FaultPoint::Declare), Ordering::Relaxed);
        Fault::None
    });
    declared
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_way_back_was_deleted_while_it_waited_comes_back_without_a_new_connection() {
    for exchange in ["leveret.delay.v1.deliver", "leveret.delay.v1.00", "leveret.delay.v1.01"] {
        // Given jobs that have failed and wait for their second attempts, each for a while of its own
        let stand = Stand::new();
        let (probe, mut watch) = probe();
        let running = Running::start(stand.worker().state(probe).register(fail_once)).await;
        stand.enqueue(0..JOBS).await;
        for _ in 0..JOBS {
            assert_eq!(watch.started().await.1, 1);
        }
        while stand.delayed().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        // When an exchange that only the broker uses for them is deleted
        assert!(stand.broker.delete_exchange(exchange), "{exchange}");

        // Then all second attempts come nevertheless
        for _ in 0..JOBS {
            assert_eq!(watch.started().await.1, 2, "{exchange}");
        }
        stand.wait_for_empty("mail").await;
        assert_eq!(running.stop_mail().await.completed, JOBS);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_idles_for_a_day_declares_little() {
    // Given a worker with one queue
    let stand = Stand::new();
    let running = Running::start(stand.worker().state(probe().0).register(fail_once)).await;
    let declared = count_declarations(&stand.broker);

    // When a day passes
    tokio::time::sleep(DAY).await;

    // Then it has declared its queue's dozen again once a minute, and no ladder, since nothing was delayed
    let (declared, minutes) = (declared.load(Ordering::Relaxed), 24 * 60);
    assert!((minutes..20 * minutes).contains(&declared), "{declared}");
    running.kill().await;
}

#[tokio::test(start_paused = true)]
async fn what_others_are_to_declare_is_never_declared_again() {
    // Given what another declared
    let broker = MemoryBroker::new();
    let first = Stand::on(broker.clone(), TopologyMode::Declare);
    let running = Running::start(first.worker().state(probe().0).register(fail_once)).await;
    running.kill().await;
    for mode in [TopologyMode::Verify, TopologyMode::None] {
        let stand = Stand::on(broker.clone(), mode);
        let running = Running::start(stand.worker().state(probe().0).register(fail_once)).await;
        let declared = count_declarations(&broker);

        tokio::time::sleep(DAY).await;

        assert_eq!(declared.load(Ordering::Relaxed), 0, "{mode:?}");
        running.kill().await;
    }
}
