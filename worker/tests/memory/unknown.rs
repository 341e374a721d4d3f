//! Jobs that no handler is registered for: at once a dead letter, or put off until a worker comes that knows them.

use std::time::Duration;

use leveret::Job;
use leveret_worker::{Context, State, Unknown};
use serde::{Deserialize, Serialize};

use crate::kit::*;

/// A job of the next version of a service.
#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = MAIL, max_attempts = 2, timeout = "30s")]
struct Parcel {
    number: u64,
}

const LATER: Unknown = Unknown::Delay {
    wait: Duration::from_secs(30),
    times: 4,
};

async fn open_parcel(parcel: Parcel, State(probe): State<Probe>, context: Context) {
    probe.run(parcel.number, &context);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_not_known_yet_is_run_by_the_worker_that_knows_it() {
    // Given an old worker that has met a job of the new version twice
    let stand = Stand::new();
    let old = Running::start(stand.worker().register(async |_: Note| {}).unknown_jobs(LATER)).await;
    stand.producer.enqueue(Parcel { number: 7 }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(45)).await;
    let mail = old.stop_mail().await;
    assert_eq!((mail.put_off, mail.failed, mail.dead_lettered), (2, 0, 0));

    // When a new worker takes over
    let (probe, mut watch) = probe();
    let new = Running::start(stand.worker().state(probe).register(open_parcel)).await;

    // Then it runs the job, at its first attempt
    assert_eq!(watch.started().await, (7, 1));
    stand.wait_for_empty("mail").await;
    assert_eq!(new.stop_mail().await.completed, 1);
    assert!(stand.broker.messages("mail.dead").is_empty());
}

#[tokio::test(start_paused = true)]
async fn however_many_workers_it_meets_it_is_put_off_so_many_times_and_no_more() {
    // Given three workers that do not know a job
    let stand = Stand::new();
    let others = [(); 2].map(|()| Stand::on(stand.broker.clone(), leveret::TopologyMode::Declare));
    let mut workers = Vec::new();
    for stand in others.iter().chain([&stand]) {
        workers.push(Running::start(stand.worker().register(async |_: Note| {}).unknown_jobs(LATER)).await);
    }

    // When it comes
    let begun = tokio::time::Instant::now();
    stand.producer.enqueue(Parcel { number: 7 }).await.unwrap();

    // Then it is a dead letter after four waits
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(begun.elapsed().as_secs(), 4 * 30);
    assert_eq!(text(&dead, "leveret-failure-reason"), "unknown_type");
    assert_eq!(
        (int(&dead, "leveret-unknown"), int(&dead, "leveret-attempt")),
        (Some(4), Some(1))
    );
    let mut put_off = 0;
    for worker in workers {
        put_off += worker.stop_mail().await.put_off;
    }
    assert_eq!(put_off, 4);
}

#[tokio::test(start_paused = true)]
async fn what_no_worker_can_ever_know_is_a_dead_letter_at_once() {
    for (patience, kind) in [(LATER, None), (Unknown::DeadLetter, Some("parcel"))] {
        let stand = Stand::new();
        let running = Running::start(stand.worker().register(async |_: Note| {}).unknown_jobs(patience)).await;
        let begun = tokio::time::Instant::now();
        stand.foreign(kind, b"{}");
        let dead = stand.dead_letters(1).await.remove(0);
        assert_eq!(text(&dead, "leveret-failure-reason"), "unknown_type");
        assert!(begun.elapsed() < Duration::from_secs(1));
        drop(running.stop().await);
    }
}
