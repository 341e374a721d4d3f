//! An outage of what jobs depend on, with a kill switch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leveret::Job;
use leveret_tests::signal::{Counter, eventually};
use leveret_worker::{KillSwitch, State, Worker};
use serde::{Deserialize, Serialize};

use crate::kit::*;

#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = "unused", max_attempts = 3, backoff = leveret::Backoff::fixed("100ms"), timeout = "60s")]
struct Letter {
    number: u64,
}

/// Between two single jobs that fail.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Clone)]
struct Server {
    is_away: Arc<AtomicBool>,
    refused: Counter,
    taken: Counter,
}

async fn deliver(_: Letter, State(server): State<Server>) -> Result<(), &'static str> {
    if server.is_away.load(Ordering::SeqCst) {
        server.refused.add();
        return Err("the mail server is away");
    }
    server.taken.add();
    Ok(())
}

#[tokio::test]
async fn an_outage_costs_few_attempts_and_no_job() {
    // Given 500 jobs of three attempts each, and a server that is away
    let bench = Bench::new(own_queue("kill-switch")).await;
    let server = Server {
        is_away: Arc::new(AtomicBool::new(true)),
        refused: Counter::new("refused letters"),
        taken: Counter::new("taken letters"),
    };
    let envelope = |number| {
        leveret::Envelope::new(Letter { number })
            .expect("plain")
            .with_queue(bench.queue.clone())
    };
    let results = bench.producer.enqueue_envelopes((0..500).map(envelope)).await;
    assert!(results.iter().all(Result::is_ok));
    let switch = KillSwitch::new().threshold(80).minimum(20).pause(PAUSE).probes(3);
    let builder = Worker::builder(&bench.rabbit)
        .route::<Letter>(bench.queue.clone())
        .state(server.clone());
    let worker = builder
        .register(deliver)
        .concurrency(&bench.queue, 10)
        .kill_switch(&bench.queue, switch);
    let worker = worker.build().expect("well put together");
    let handle = worker.handle();
    let begun = std::time::Instant::now();
    let running = tokio::spawn(worker.run_until(std::future::pending::<()>()));

    // When it is away for ten pauses and more
    server.refused.wait_for(20 + 9 + 10).await;
    server.is_away.store(false, Ordering::SeqCst);
    let probes = u64::try_from(begun.elapsed().as_millis() / PAUSE.as_millis()).expect("few") + 1;

    // Then it was asked by those twenty that tripped the switch, by the nine beside them at the most, and by one after each pause
    let refused = server.refused.count();
    assert!(refused <= 20 + 9 + probes, "{refused} with {probes} probes at the most");

    // And every job is done, none of them dead
    server.taken.wait_for(500).await;
    eventually("a worker that goes on", async || handle.is_ready()).await;
    handle.shutdown();
    let report = running.await.expect("no panic").expect("it could run");
    let report = report.queue(bench.queue.name()).expect("consumed");
    assert_eq!((report.completed, report.dead_lettered), (500, 0));
    assert!(report.failed <= refused + 1, "{report:?}");
    assert_eq!(bench.dead_letter_count().await, 0);
}
