//! How cost grows: the same work with more of one thing.

use crate::chart::{Chart, Scale};
use crate::rows::QueueType;
use crate::run::{Call, Place, Sample, Stage};

const QUEUES: [u64; 6] = [1, 2, 5, 10, 20, 50];
const WORKERS: [u64; 6] = [1, 2, 4, 8, 16, 32];
const PAYLOADS: [u64; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const BACKLOGS: [u64; 5] = [0, 10_000, 100_000, 300_000, 1_000_000];
const CONCURRENCIES: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 200];

/// Jobs of each point, where they are small.
const JOBS: u64 = 60_000;
/// And where they are large: so many bytes in all.
const BYTES: u64 = 200_000_000;
/// Jobs that take 5 ms, for each that runs at once: two seconds of them.
const TAKING_5_MS: u64 = 400;

const ENQUEUE: &str = "enqueue, one task";
const WORK: &str = "work, an empty handler";
const RATE: &str = "jobs per second";

pub(crate) async fn all(stage: &Stage) -> Vec<Chart> {
    vec![
        queues(stage).await,
        workers(stage).await,
        payloads(stage).await,
        backlogs(stage).await,
        concurrencies(stage).await,
    ]
}

async fn queues(stage: &Stage) -> Chart {
    let mut points = Vec::new();
    for queues in QUEUES {
        let place = begin(stage, "queues", queues);
        let count = queues.to_string();
        let options = ["--queues", count.as_str()];
        points.push((
            queues,
            there_and_back(stage, &place, stage.share_of(JOBS), &options).await,
        ));
        stage.remove(&place, &options).await;
    }
    Chart {
        name: "queues",
        title: "One worker with more queues; the same jobs, spread over them",
        across: "queues of the worker",
        up: RATE,
        lines: vec![ENQUEUE, WORK],
        scale: Scale::Linear,
        points,
    }
}

async fn workers(stage: &Stage) -> Chart {
    let mut points = Vec::new();
    for workers in WORKERS {
        let place = begin(stage, "workers", workers);
        let jobs = stage.share_of(2 * JOBS);
        stage.fill(&place, jobs).await;
        let count = workers.to_string();
        let sample = work(stage, &place, jobs, &["--workers", &count]).await;
        points.push((workers, vec![sample.rate]));
        stage.remove(&place, &[]).await;
    }
    Chart {
        name: "workers",
        title: "More workers on one queue, each with connections of its own",
        across: "workers",
        up: RATE,
        lines: vec![WORK],
        scale: Scale::Linear,
        points,
    }
}

async fn payloads(stage: &Stage) -> Chart {
    let mut points = Vec::new();
    for bytes in PAYLOADS {
        let place = begin(stage, "payload", bytes);
        let jobs = stage.share_of(JOBS.min(BYTES / bytes));
        let size = bytes.to_string();
        let rates = there_and_back(stage, &place, jobs, &["--payload", &size]).await;
        points.push((bytes, rates));
        stage.remove(&place, &[]).await;
    }
    Chart {
        name: "payloads",
        title: "Larger jobs (both axes logarithmic)",
        across: "bytes of a job",
        up: RATE,
        lines: vec![ENQUEUE, WORK],
        scale: Scale::Log,
        points,
    }
}

/// One queue that grows: what is enqueued on top is worked from its head, so that the backlog stays.
async fn backlogs(stage: &Stage) -> Chart {
    let mut points = Vec::new();
    let place = begin(stage, "backlog", 0);
    let mut there = 0;
    stage.declare(&place).await;
    for backlog in BACKLOGS {
        let backlog = if backlog == 0 { 0 } else { stage.share_of(backlog) };
        eprintln!("-- backlog {backlog}");
        if backlog > there {
            stage
                .run(&place, Call::new("bench-limit", "enqueue", backlog - there))
                .await;
            there = backlog;
        }
        points.push((backlog, there_and_back(stage, &place, stage.share_of(JOBS), &[]).await));
    }
    stage.remove(&place, &[]).await;
    Chart {
        name: "backlogs",
        title: "A queue that already holds jobs",
        across: "jobs in the queue before",
        up: RATE,
        lines: vec![ENQUEUE, WORK],
        scale: Scale::Linear,
        points,
    }
}

async fn concurrencies(stage: &Stage) -> Chart {
    let mut points = Vec::new();
    for concurrency in CONCURRENCIES {
        let place = begin(stage, "concurrency", concurrency);
        let at_once = concurrency.to_string();
        let mut rates = Vec::new();
        for (jobs, takes) in [(JOBS, "0"), (TAKING_5_MS * concurrency, "5")] {
            let jobs = stage.share_of(jobs);
            stage.fill(&place, jobs).await;
            let options = match takes {
                "0" => vec!["--concurrency", at_once.as_str()],
                takes => vec!["--concurrency", at_once.as_str(), "--takes", takes],
            };
            rates.push(work(stage, &place, jobs, &options).await.rate);
        }
        points.push((concurrency, rates));
        stage.remove(&place, &[]).await;
    }
    Chart {
        name: "concurrency",
        title: "More jobs at once in one worker (both axes logarithmic)",
        across: "jobs at once",
        up: RATE,
        lines: vec![WORK, "work, jobs of 5 ms"],
        scale: Scale::Log,
        points,
    }
}

fn begin(stage: &Stage, what: &str, grown: u64) -> Place {
    eprintln!("-- {what} {grown}");
    stage.place(QueueType::Quorum)
}

/// The rates of the same jobs enqueued and worked.
async fn there_and_back(stage: &Stage, place: &Place, jobs: u64, options: &[&str]) -> Vec<f64> {
    let enqueued = stage
        .run(place, Call::new("leveret-bench", "enqueue", jobs).told(options))
        .await;
    vec![enqueued.rate, work(stage, place, jobs, options).await.rate]
}

async fn work(stage: &Stage, place: &Place, jobs: u64, options: &[&str]) -> Sample {
    stage
        .run(place, Call::new("leveret-bench", "work", jobs).told(options))
        .await
}
