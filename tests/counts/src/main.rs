//! The hot paths, on the in-memory broker and one thread: `cargo xtask counts` runs this under callgrind and holds the instructions per job against those in
//! `counts.json`.
//!
//! `leveret-counts enqueue|work N`: enqueues N jobs and awaits their confirms; `work` then also handles them, so that what it costs beyond `enqueue` is decode,
//! dispatch, verdict and settle.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leveret::{Job, Producer, Rabbit};
use leveret_worker::{State, Worker};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// So many enqueues are made before the first is awaited: fewer than the ledger has room for, and enough that confirms come many at a time.
const AT_ONCE: u64 = 100;

/// As long as the bench's.
#[derive(Debug, Serialize, Deserialize, Job)]
#[job(name = "counted", queue = "counts")]
struct Mail {
    id: u64,
    to: String,
    subject: String,
    body: String,
}

impl Mail {
    fn new(id: u64) -> Self {
        Self {
            // All are of one length.
            id: 1_000_000 + id,
            to: "ada@example.org".to_owned(),
            subject: "your order is on its way".to_owned(),
            body: "x".repeat(60),
        }
    }
}

#[derive(Debug)]
struct Left {
    jobs: AtomicU64,
    none: Notify,
}

async fn handle(_: Mail, State(left): State<Arc<Left>>) {
    if left.jobs.fetch_sub(1, Ordering::Relaxed) == 1 {
        left.none.notify_one();
    }
}

async fn enqueue(producer: &Producer, jobs: u64) -> Result<(), leveret::EnqueueError> {
    for begin in (0..jobs).step_by(usize::try_from(AT_ONCE).unwrap_or(1)) {
        let mut pending = Vec::new();
        for id in begin..jobs.min(begin + AT_ONCE) {
            pending.push(producer.enqueue(Mail::new(id)).submit().await?);
        }
        for each in pending {
            each.await?;
        }
    }
    Ok(())
}

async fn work(rabbit: &Rabbit, jobs: u64) -> Result<(), Box<dyn std::error::Error>> {
    let left = Arc::new(Left {
        jobs: AtomicU64::new(jobs),
        none: Notify::new(),
    });
    let worker = Worker::builder(rabbit)
        .state(Arc::clone(&left))
        .register(handle)
        .build()?;
    let report = worker.run_until(async move { left.none.notified().await }).await?;
    eprintln!("{report}");
    Ok(())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, jobs] = arguments.as_slice() else {
        return Err("leveret-counts enqueue|work N".into());
    };
    let jobs = jobs.parse()?;
    let rabbit = Rabbit::connect("memory://counts").await?;
    rabbit.declare(&Mail::QUEUE).await?;
    enqueue(&rabbit.producer(), jobs).await?;
    if path == "work" {
        work(&rabbit, jobs).await?;
    }
    rabbit.close().await;
    Ok(())
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leveret-counts: {error}");
            ExitCode::FAILURE
        }
    }
}
