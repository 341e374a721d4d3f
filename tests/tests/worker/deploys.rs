//! Rolling deploys: two versions of a service on one queue.

use std::time::Duration;

use leveret::Job;
use leveret_worker::{Context, State, Unknown};
use serde::{Deserialize, Serialize};

use crate::kit::*;

/// A job of the next version. In the one after that it will be called a package.
#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = "unused", name = "parcel", timeout = "30s")]
struct Parcel {
    number: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = "unused", name = "package", alias = "parcel", timeout = "30s")]
struct Package {
    number: u64,
}

async fn open(package: Package, State(probe): State<Probe>, context: Context) {
    probe.run(package.number, &context);
}

#[tokio::test]
async fn a_job_that_is_not_known_yet_waits_for_a_worker_that_knows_it_under_a_newer_name() {
    // Given an old worker, and jobs of which it knows nothing
    let bench = Bench::new(own_queue("deploys")).await;
    let wait = Duration::from_millis(300);
    let old = bench.worker().register(async |_: Note| {});
    let old = Running::start(old.unknown_jobs(Unknown::Delay { wait, times: 1_000 })).await;
    for number in 0..20 {
        let enqueue = bench.producer.enqueue(Parcel { number }).queue(&bench.queue);
        enqueue.await.expect("confirmed");
    }
    bench.wait_for_ready(0).await;

    // When a new one comes, which knows them by a name that they had before, and the old one goes
    let probe = Probe::new();
    let new = leveret_worker::Worker::builder(&bench.rabbit).route::<Package>(bench.queue.clone());
    let new = Running::start(new.state(probe.clone()).register(open)).await;
    let put_off = old.stop_one().await.put_off;

    // Then it runs each of them once, at its first attempt
    probe.runs.wait_for(20).await;
    let mut attempts = probe.attempts();
    attempts.sort_unstable();
    assert_eq!(attempts, (0..20).map(|number| (number, 1)).collect::<Vec<_>>());
    assert!(put_off >= 20, "{put_off}");
    assert_eq!(new.stop_one().await.completed, 20);
    assert_eq!(bench.dead_letter_count().await, 0);
}
