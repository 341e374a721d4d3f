//! Leveret, measured.
//!
//! `leveret-bench --url URL --mode enqueue|work|latency --n N --queue NAME --qtype classic|quorum --rate JOBS_PER_S [--callers C]` prints one line of JSON:
//!
//! - `enqueue`: from the first call until all jobs are confirmed. One task, which awaits no confirm before it goes on, with a window of 1,000 unawaited jobs
//!   (`--ahead N`: another); with `--callers C` so many tasks, each of which awaits its own. `--n 0` only declares the queue.
//! - `work`: a handler that does nothing, on a queue that holds `n` jobs (of any client that sets `type` to `bench-mail`): from the first handled to the last.
//!   With `--slow MS` the first job takes so long, and the time is that of the others; with `--takes MS` each of them does.
//! - `latency`: `n` jobs at a steady rate, from the call of each enqueue to the start of its handler.
//! - `retry`: as `work`, but each job fails once, waits 100 ms in the delay ladder, and then succeeds.
//! - `idle`: a worker that waits for `n` seconds on empty queues.
//! - `start --since NS`: from then, in nanoseconds since 1970, to the start of the first job's handler.
//!
//! `secs` is wall clock, `rate` jobs per second, `cpu_per_10k` the seconds of CPU that this process spent on 10,000 jobs, `rss_mb` the most memory it had.
//!
//! # Layout
//! - `enqueue`, `work`, `latency`, `idle`: the modes
//! - `tally`: what handlers count
//! - `queues`: one queue or many

mod enqueue;
mod idle;
mod latency;
mod queues;
mod tally;
mod work;

use std::process::ExitCode;

use leveret::Rabbit;
use leveret_bench::arguments::{Arguments, Mode};
use leveret_bench::report;
use leveret_bench::{Failure, end};

use self::queues::Queues;

#[tokio::main]
async fn main() -> ExitCode {
    end("leveret-bench", run().await)
}

async fn run() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let rabbit = Rabbit::connect(arguments.url.as_str()).await?;
    let queues = Queues::of(&arguments.place)?;
    // A worker declares its queues by itself, and to start with nothing declared is what is measured there.
    if arguments.mode != Mode::Start {
        queues.declare(&rabbit).await?;
    }
    let n = arguments.n;
    let line = match arguments.mode {
        Mode::Enqueue => report::enqueued(n, enqueue::enqueue(&rabbit, &queues, &arguments).await?),
        Mode::Work => {
            // The slow job is not among those that are measured.
            let measured = n - u64::from(arguments.working.slow.is_some());
            report::worked(measured, work::work(&rabbit, &queues, &arguments).await?)
        }
        Mode::Retry => report::worked(n, work::retry(&rabbit, &queues, &arguments).await?),
        Mode::Latency => report::delayed(latency::latency(&rabbit, &queues, &arguments).await?),
        Mode::Idle => report::idled(idle::idle(&rabbit, &queues, &arguments).await?),
        Mode::Start => report::started(work::start(&rabbit, &queues, arguments.since.unwrap_or_default()).await?),
        Mode::Hop | Mode::Remove => return Err("that is what bench-lapin does".into()),
    };
    println!("{line}");
    rabbit.close().await;
    Ok(())
}
