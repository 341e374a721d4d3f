//! Enqueues jobs 0 to N-1 and writes down what became of each, whatever happens to the broker meanwhile.
//!
//! `soak-producer --url U[,U…] --queue Q --jobs N --rate R --out FILE [--resume] [--confirm-timeout SECONDS] [--max-length N] [--max-attempts N]`
//!
//! R: jobs a second, 0 for as many as it takes. FILE gets one line `<id> confirmed|refused|unknown <unix ms>` a job, at the moment it is known. With
//! `--resume` the jobs that have a line are left out; without it FILE must be empty. It ends, with status 0, when every job has its line, and says on its
//! standard output in JSON how long its callers had to wait and how much memory it took.
//! `--max-length`: the queue refuses what is more. SIGUSR1 holds the producer: it enqueues nothing more, and says "held" once the fate of all before is
//! known. SIGUSR2 lets it go on. SIGTERM: it enqueues nothing more, and ends, with status 0,
//! when what it has begun has its lines.

// A soak that cannot write its file or read its own numbers ends at the place where that shows.
#![allow(clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use leveret::{ConnectOptions, Fate, Producer, Queue, Rabbit};
use leveret_tests::logs;
use leveret_tests::soak::leash;
use leveret_tests::soak::record::{self, Log, Produced, Told};
use leveret_tests::soak::{Hold, Soak, message_id, urls, usage};
use lexopt::prelude::*;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// So many callers wait at a time: more than the ledger has room for jobs of this size would only wait.
const CALLERS: usize = 8_192;
/// What was never sent is enqueued again, after this.
const AGAIN: Duration = Duration::from_millis(20);

const USAGE: &str = "soak-producer --url U[,U…] --queue Q --jobs N --rate R --out FILE [--resume] [--confirm-timeout SECONDS] \
                     [--max-length N] [--max-attempts N]";
/// Between two looks at what is open.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Arguments {
    url: Option<String>,
    queue: Option<String>,
    jobs: Option<u64>,
    rate: Option<f64>,
    out: Option<PathBuf>,
    resume: bool,
    confirm_timeout: Option<f64>,
    max_length: Option<u32>,
    max_attempts: Option<u32>,
}

impl Arguments {
    fn read() -> Result<Self, Failure> {
        let mut read = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("url") => read.url = Some(urls::one_of(&parser.value()?.string()?)?),
                Long("queue") => read.queue = Some(parser.value()?.string()?),
                Long("jobs") => read.jobs = Some(parser.value()?.parse()?),
                Long("rate") => read.rate = Some(parser.value()?.parse()?),
                Long("out") => read.out = Some(parser.value()?.into()),
                Long("resume") => read.resume = true,
                Long("confirm-timeout") => read.confirm_timeout = Some(parser.value()?.parse()?),
                Long("max-length") => read.max_length = Some(parser.value()?.parse()?),
                Long("max-attempts") => read.max_attempts = Some(parser.value()?.parse()?),
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(read)
    }
}

/// Enqueues one job after the other, each until its fate is known.
struct Enqueuer {
    producer: Producer,
    queue: Queue,
    max_attempts: Option<u32>,
    log: Log,
    longest_wait: AtomicU64,
    /// How many jobs have no line yet.
    open: AtomicU64,
    hold: Hold,
}

impl Enqueuer {
    async fn enqueue(&self, id: u64) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let told = loop {
            let job = Soak::new(id);
            let carried: Soak = serde_json::to_vec(&job)
                .and_then(|body| serde_json::from_slice(&body))
                .expect("it is plain");
            assert!(carried == job && carried.is_whole(), "job {id} is not what it was");
            let mut enqueued = self.producer.enqueue(job).id(message_id(id)).queue(&self.queue);
            if let Some(attempts) = self.max_attempts {
                enqueued = enqueued.max_attempts(attempts);
            }
            let asked = Instant::now();
            let result = enqueued.await;
            let waited = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.longest_wait.fetch_max(waited, Ordering::Relaxed);
            match result.map_err(|error| error.fate()) {
                Ok(_) => break Told::Confirmed,
                Err(Fate::Refused(_)) => break Told::Refused,
                Err(Fate::Unknown) => break Told::Unknown,
                // It is nowhere: as if it had not been enqueued yet.
                Err(Fate::NotSent) => tokio::time::sleep(AGAIN).await,
            }
        };
        let at = record::now();
        self.log.line(Produced { id, told, at });
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Says when it is held and nothing is open, and when it goes on.
    async fn say_when_held(&self) {
        let mut changes = self.hold.changes();
        while changes.wait_for(|held| *held).await.is_ok() {
            // One that had just passed is open at the second look.
            let mut quiet = 0;
            while quiet < 4 {
                tokio::time::sleep(LOOK).await;
                quiet = if self.open.load(Ordering::Relaxed) == 0 {
                    quiet + 1
                } else {
                    0
                };
            }
            println!("held");
            if changes.wait_for(|held| !held).await.is_err() {
                return;
            }
            println!("goes on");
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    logs::init();
    leash::hold();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak-producer: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let out = arguments.out.ok_or("--out is missing")?;
    let known: Vec<Produced> = record::read(&out)?;
    if !arguments.resume && !known.is_empty() {
        return Err(format!(
            "{} has lines of another run: add --resume to go on with it",
            out.display()
        )
        .into());
    }
    let known: BTreeSet<u64> = known.iter().map(|line| line.id).collect();
    let mut options: ConnectOptions = arguments.url.ok_or("--url is missing")?.parse()?;
    options = options.connection_name("soak-producer");
    if let Some(seconds) = arguments.confirm_timeout {
        options = options.confirm_deadline(Duration::try_from_secs_f64(seconds)?);
    }
    // The broker may come up later.
    let rabbit = Rabbit::start(options)?;
    let queue = Queue::named(arguments.queue.ok_or("--queue is missing")?)?;
    let enqueuer = Arc::new(Enqueuer {
        producer: rabbit.producer(),
        queue: match arguments.max_length {
            Some(length) => queue.max_length(length),
            None => queue,
        },
        max_attempts: arguments.max_attempts,
        log: Log::open(&out)?,
        longest_wait: AtomicU64::new(0),
        open: AtomicU64::new(0),
        hold: Hold::by_signals()?,
    });
    let jobs = arguments.jobs.ok_or("--jobs is missing")?;
    let rate = arguments.rate.ok_or("--rate is missing")?;
    let left = (0..jobs).filter(move |id| !known.contains(id));
    let saying = Arc::clone(&enqueuer);
    let saying = tokio::spawn(async move { saying.say_when_held().await });
    let mut enough = signal(SignalKind::terminate())?;
    enqueue_all(&enqueuer, left, rate, enough.recv()).await;
    saying.abort();
    rabbit.close().await;
    println!(
        r#"{{"max_wait_ms":{},"peak_rss_kb":{}}}"#,
        enqueuer.longest_wait.load(Ordering::Relaxed),
        usage::peak_memory()
    );
    Ok(())
}

/// In their order; `rate` jobs a second, and after an outage those that were held up at once.
async fn enqueue_all<T>(
    enqueuer: &Arc<Enqueuer>,
    jobs: impl Iterator<Item = u64>,
    rate: f64,
    enough: impl Future<Output = T>,
) {
    let began = Instant::now();
    let pause = if rate > 0.0 { rate.recip() } else { 0.0 };
    let due = stream::iter(jobs.zip(0u32..)).then(async |(id, place)| {
        if pause > 0.0 {
            tokio::time::sleep_until(began + Duration::from_secs_f64(pause * f64::from(place))).await;
        }
        enqueuer.hold.passes().await;
        id
    });
    let mut ends = std::pin::pin!(
        due.take_until(enough)
            .map(|id| enqueuer.enqueue(id))
            .buffer_unordered(CALLERS)
    );
    while ends.next().await.is_some() {}
}
