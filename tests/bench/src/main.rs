//! Leveret, measured.
//!
//! `leveret-bench --url URL --mode enqueue|work|latency --n N --queue NAME --qtype classic|quorum --rate JOBS_PER_S [--callers C]` prints one line of JSON:
//!
//! - `enqueue`: from the first call until all jobs are confirmed. One task, which awaits no confirm before it goes on; with `--callers C` so many tasks, each
//!   of which awaits its own. `--n 0` only declares the queue.
//! - `work`: a handler that does nothing, on a queue that holds `n` jobs (of any client that sets `type` to `bench-mail`): from the first handled to the last.
//! - `latency`: `n` jobs at a steady rate, from the call of each enqueue to the start of its handler.
//!
//! `secs` is wall clock, `rate` jobs per second, `cpu_per_10k` the seconds of CPU that this process spent on 10,000 jobs, `rss_mb` the most memory it had.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use leveret::{EnqueueError, Pending, Producer, Queue, Rabbit};
use leveret_bench::arguments::{Arguments, Mode};
use leveret_bench::mail::Mail;
use leveret_bench::report;
use leveret_bench::usage::{Spent, Stretch};
use leveret_bench::{Failure, end};
use leveret_worker::{State, Worker};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

/// So many enqueues may be unawaited: far more than are on the wire, so that awaiting the oldest keeps the next from nothing.
const HANDLES: usize = 10_000;

#[tokio::main]
async fn main() -> ExitCode {
    end("leveret-bench", run().await)
}

async fn run() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let rabbit = Rabbit::connect(arguments.url.as_str()).await?;
    let mut queue = Queue::named(arguments.queue.clone())?;
    if arguments.classic {
        queue = queue.classic();
    }
    rabbit.declare(&queue).await?;
    match arguments.mode {
        Mode::Enqueue => {
            let producer = rabbit.producer().route::<Mail>(queue);
            println!(
                "{}",
                report::enqueued(arguments.n, enqueue(&producer, &arguments).await?)
            );
        }
        Mode::Work => println!(
            "{}",
            report::worked(arguments.n, work(&rabbit, &queue, &arguments).await?)
        ),
        Mode::Latency => println!("{}", report::delayed(latency(&rabbit, &queue, &arguments).await?)),
    }
    rabbit.close().await;
    Ok(())
}

async fn enqueue(producer: &Producer, arguments: &Arguments) -> Result<Spent, Failure> {
    let stretch = Stretch::begin();
    match arguments.callers {
        None => enqueue_alone(producer, arguments.n).await?,
        Some(callers) => enqueue_together(producer, arguments.n, callers.max(1)).await?,
    }
    Ok(stretch.end())
}

async fn enqueue_alone(producer: &Producer, n: u64) -> Result<(), EnqueueError> {
    let mut pending: VecDeque<Pending> = VecDeque::new();
    for id in 0..n {
        if pending.len() == HANDLES
            && let Some(oldest) = pending.pop_front()
        {
            oldest.await?;
        }
        pending.push_back(producer.enqueue(Mail::new(id)).submit().await?);
    }
    for each in pending {
        each.await?;
    }
    Ok(())
}

async fn enqueue_together(producer: &Producer, n: u64, callers: u64) -> Result<(), Failure> {
    let tasks: Vec<_> = (0..callers)
        .map(|first| {
            let producer = producer.clone();
            let ids = (first..n).step_by(usize::try_from(callers).unwrap_or(usize::MAX));
            tokio::spawn(async move {
                for id in ids {
                    producer.enqueue(Mail::new(id)).await?;
                }
                Ok::<(), EnqueueError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// What the handlers count.
#[derive(Debug, Default)]
struct Tally {
    handled: AtomicU64,
    wanted: u64,
    begun: OnceLock<Stretch>,
    spent: OnceLock<Spent>,
    all: Notify,
    /// The first job takes so long.
    slow: Option<Duration>,
}

async fn handle(_: Mail, State(tally): State<Arc<Tally>>) {
    let begun = tally.begun.get_or_init(Stretch::begin);
    let handled = tally.handled.fetch_add(1, Ordering::Relaxed) + 1;
    if handled == 1
        && let Some(slow) = tally.slow
    {
        sleep(slow).await;
    }
    if handled == tally.wanted {
        let _ = tally.spent.set(begun.end());
        tally.all.notify_one();
    }
}

async fn work(rabbit: &Rabbit, queue: &Queue, arguments: &Arguments) -> Result<Spent, Failure> {
    let tally = Arc::new(Tally {
        wanted: arguments.n,
        slow: arguments.slow.map(Duration::from_millis),
        ..Tally::default()
    });
    let mut worker = Worker::builder(rabbit)
        .route::<Mail>(queue.clone())
        .state(Arc::clone(&tally))
        .register(handle);
    if let Some(prefetch) = arguments.prefetch {
        worker = worker.prefetch(queue, prefetch);
    }
    if let Some(concurrency) = arguments.concurrency {
        worker = worker.concurrency(queue, concurrency);
    }
    let all = Arc::clone(&tally);
    let report = worker
        .build()?
        .run_until(async move { all.all.notified().await })
        .await?;
    let spent = tally.spent.get().copied().ok_or("the worker ended before the jobs")?;
    eprintln!("{report}");
    Ok(spent)
}

/// When each job began, in milliseconds after its enqueue was called.
#[derive(Debug, Default)]
struct Ages {
    ages: Mutex<Vec<f64>>,
    wanted: usize,
    all: Notify,
}

async fn time(job: Mail, State(ages): State<Arc<Ages>>) {
    let age = job.age_ms();
    let mut all = ages.ages.lock().unwrap_or_else(PoisonError::into_inner);
    all.push(age);
    if all.len() == ages.wanted {
        ages.all.notify_one();
    }
}

async fn latency(rabbit: &Rabbit, queue: &Queue, arguments: &Arguments) -> Result<Vec<f64>, Failure> {
    let wanted = usize::try_from(arguments.n)?;
    let ages = Arc::new(Ages {
        ages: Mutex::new(Vec::with_capacity(wanted)),
        wanted,
        all: Notify::new(),
    });
    let worker = Worker::builder(rabbit)
        .route::<Mail>(queue.clone())
        .state(Arc::clone(&ages))
        .register(time)
        .build()?;
    let handle = worker.handle();
    let all = Arc::clone(&ages);
    let running = tokio::spawn(worker.run_until(async move { all.all.notified().await }));
    handle.ready().await;
    let producer = rabbit.producer().route::<Mail>(queue.clone());
    let begin = Instant::now() + Duration::from_millis(100);
    let mut ticks = interval_at(begin, Duration::from_secs_f64(1.0 / arguments.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut pending = Vec::with_capacity(wanted);
    for id in 0..arguments.n {
        ticks.tick().await;
        pending.push(producer.enqueue(Mail::new(id)).submit().await?);
    }
    for each in pending {
        each.await?;
    }
    eprintln!("{}", running.await??);
    let ages = ages.ages.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(ages.clone())
}
