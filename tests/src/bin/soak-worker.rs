//! Works on the jobs of `soak-producer` and writes down each run.
//!
//! `soak-worker --url U[,U…] --queue Q --out FILE [--concurrency C] [--work-ms A-B] [--fail-rate P] [--name W] [--starts FILE] [--states FILE]
//! [--max-length N] [--workers N] [--block ID:SECONDS] [--panic ID] [--panic-every N] [--exit ID]`
//!
//! FILE gets one line `<id> <attempt> done|failed <unix ms>` a run. P: the share of attempts that fail. SIGTERM drains, and it exits with status 0. A
//! job that is not as it was enqueued is written down nowhere, becomes a dead letter, and makes the status 1.
//! `--starts`: one line `<id> <attempt> <hop> first|again` when a run begins; `again` where the broker or a sender says that it may be a repetition.
//! `--states`: one line `<unix ms> <health>` whenever the worker's state changes.
//! `--max-length`: as that of the producer. SIGUSR1 holds the worker: a run that begins waits, with its job in hand, until SIGUSR2 lets it go on.
//! `--workers`: so many in this process, each with connections of its own.
//! A handler that misbehaves: `--block`: this job blocks every thread of the runtime for so long, once; `--panic`: this one panics in each run; `--panic-every`: one
//! of so many panics in its first; `--exit`: this one ends the process, with status 3.

// A soak that cannot write its file ends at the place where that shows.
#![allow(clippy::expect_used)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use leveret::{ConnectOptions, HeaderValue, Queue, Rabbit};
use leveret_tests::logs;
use leveret_tests::soak::leash;
use leveret_tests::soak::record::{self, Log, Started, Worked};
use leveret_tests::soak::{Hold, Mischief, Soak, panic_somehow, urls, usage};
use leveret_worker::{BoxError, Context, JobError, State, Worker, WorkerHandle};
use lexopt::prelude::*;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "soak-worker --url U[,U…] --queue Q --out FILE [--concurrency C] [--work-ms A-B] [--fail-rate P] [--name W] [--starts FILE] \
                     [--states FILE] [--max-length N] [--workers N] [--block ID:SECONDS] [--panic ID] [--panic-every N] [--exit ID]";
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Arguments {
    url: Option<String>,
    queue: Option<String>,
    out: Option<PathBuf>,
    concurrency: Option<usize>,
    workers: Option<usize>,
    work: (u64, u64),
    fail_rate: f64,
    name: Option<String>,
    starts: Option<PathBuf>,
    states: Option<PathBuf>,
    max_length: Option<u32>,
    mischief: Mischief,
}

impl Arguments {
    fn read() -> Result<Self, Failure> {
        let mut read = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("url") => read.url = Some(urls::one_of(&parser.value()?.string()?)?),
                Long("queue") => read.queue = Some(parser.value()?.string()?),
                Long("out") => read.out = Some(parser.value()?.into()),
                Long("concurrency") => read.concurrency = Some(parser.value()?.parse()?),
                Long("workers") => read.workers = Some(parser.value()?.parse()?),
                Long("work-ms") => read.work = range(&parser.value()?.string()?)?,
                Long("fail-rate") => read.fail_rate = parser.value()?.parse()?,
                Long("name") => read.name = Some(parser.value()?.string()?),
                Long("starts") => read.starts = Some(parser.value()?.into()),
                Long("max-length") => read.max_length = Some(parser.value()?.parse()?),
                Long("states") => read.states = Some(parser.value()?.into()),
                Long("block") => read.mischief.block = Some(Mischief::block_of(&parser.value()?.string()?)?),
                Long("panic") => read.mischief.panic = Some(parser.value()?.parse()?),
                Long("panic-every") => read.mischief.panic_every = Some(parser.value()?.parse()?),
                Long("exit") => read.mischief.exit = Some(parser.value()?.parse()?),
                _ => return Err(argument.unexpected().into()),
            }
        }
        match (0.0..1.0).contains(&read.fail_rate) {
            true => Ok(read),
            false => Err("--fail-rate is a share from 0 to below 1".into()),
        }
    }
}

fn range(text: &str) -> Result<(u64, u64), Failure> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.parse()?, to.parse()?);
    match from <= to {
        true => Ok((from, to)),
        false => Err("--work-ms wants the smaller number first".into()),
    }
}

/// What a run has to know.
#[derive(Debug)]
struct Plan {
    work: (u64, u64),
    fail_rate: f64,
    mischief: Mischief,
    out: Log,
    starts: Option<Log>,
    hold: Hold,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    failed: AtomicU64,
    broken: AtomicU64,
}

async fn work(job: Soak, State(plan): State<Arc<Plan>>, context: Context) -> Result<(), BoxError> {
    if !job.is_whole() {
        plan.counts.broken.fetch_add(1, Ordering::Relaxed);
        return Err(JobError::reject("it is not as it was enqueued").into());
    }
    let attempt = context.attempt();
    let announced = context.is_redelivered() || context.header("leveret-resent").is_some();
    if let Some(starts) = &plan.starts {
        let hop = context.header("leveret-hop").and_then(HeaderValue::as_int);
        starts.line(Started {
            id: job.id,
            attempt,
            hop: hop.and_then(|hop| u32::try_from(hop).ok()).unwrap_or(0),
            announced,
        });
    }
    plan.hold.passes().await;
    plan.mischief.begin(&job, !announced);
    let (from, to) = plan.work;
    if to > 0 {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(from..=to))).await;
    }
    let panics = plan.mischief.panics(job.id, attempt);
    let done = !panics && fastrand::f64() >= plan.fail_rate;
    plan.out.line(Worked {
        id: job.id,
        attempt,
        done,
        at: record::now(),
    });
    let count = if done { &plan.counts.done } else { &plan.counts.failed };
    count.fetch_add(1, Ordering::Relaxed);
    if panics {
        panic_somehow(job.id);
    }
    match done {
        true => Ok(()),
        false => Err("as --fail-rate wants it".into()),
    }
}

/// Writes down each state of the worker, once; of several that of one that is not ready, if there is one.
async fn watch(handles: Vec<WorkerHandle>, log: Log) {
    let mut last = String::new();
    loop {
        let mut states = handles.iter().map(WorkerHandle::health);
        let one = states.find(|health| !health.is_ready());
        let one = one.or_else(|| handles.first().map(WorkerHandle::health));
        let health = one.map_or_else(String::new, |health| health.to_string());
        if health != last {
            log.line(format_args!("{} {health}", record::now()));
            last = health;
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    logs::init();
    leash::hold();
    // On one of the runtime's threads, as everything else: a handler that blocks them all blocks this too.
    let ended = tokio::spawn(run()).await.unwrap_or_else(|panic| Err(panic.into()));
    match ended {
        Ok(0) => ExitCode::SUCCESS,
        Ok(broken) => {
            eprintln!("soak-worker: {broken} runs got a job that is not as it was enqueued");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak-worker: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<u64, Failure> {
    let arguments = Arguments::read()?;
    let plan = Arc::new(Plan {
        work: arguments.work,
        fail_rate: arguments.fail_rate,
        mischief: arguments.mischief,
        out: Log::open(&arguments.out.ok_or("--out is missing")?)?,
        starts: arguments.starts.map(|path| Log::open(&path)).transpose()?,
        hold: Hold::by_signals()?,
        counts: Counts::default(),
    });
    let mut queue = Queue::named(arguments.queue.ok_or("--queue is missing")?)?;
    if let Some(length) = arguments.max_length {
        queue = queue.max_length(length);
    }
    let url = arguments.url.ok_or("--url is missing")?;
    let name = arguments.name.unwrap_or_else(|| "soak-worker".to_owned());
    let mut workers = Vec::new();
    for _ in 0..arguments.workers.unwrap_or(1) {
        // The broker may come up later.
        let rabbit = Rabbit::start(url.parse::<ConnectOptions>()?.connection_name(&name))?;
        let builder = Worker::builder(&rabbit)
            .name(name.clone())
            .state(plan.clone())
            .register(work)
            .route::<Soak>(queue.clone());
        let concurrency = arguments.concurrency.unwrap_or(16);
        workers.push((builder.concurrency(&queue, concurrency).build()?, rabbit));
    }
    let states = arguments.states.map(|path| Log::open(&path)).transpose()?;
    let handles: Vec<_> = workers.iter().map(|(worker, _)| worker.handle()).collect();
    let watching = states.map(|log| tokio::spawn(watch(handles, log)));
    let ends = workers.into_iter().map(async |(worker, rabbit)| {
        let report = worker.run_until_signal().await;
        rabbit.close().await;
        report
    });
    for report in join_all(ends).await {
        eprintln!("{}", report?);
    }
    if let Some(watching) = watching {
        watching.abort();
    }
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        r#"{{"done":{},"failed":{},"broken":{},"peak_rss_kb":{}}}"#,
        count(&plan.counts.done),
        count(&plan.counts.failed),
        count(&plan.counts.broken),
        usage::peak_memory()
    );
    Ok(count(&plan.counts.broken))
}
