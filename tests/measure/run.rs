//! One run of one row: a program, on a queue of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leveret_tests::Node;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::sleep;

use crate::rows::{Kind, QueueType, Row};

/// How long the broker is frozen.
const STALL: Duration = Duration::from_secs(10);
/// How often a queue is removed before its broker is given up, and the pause between.
const REMOVALS: usize = 10;
const REMOVAL_PAUSE: Duration = Duration::from_secs(2);
/// So many of the jobs are enough to count allocations: they do not vary as times do.
const COUNTED: f64 = 0.1;

/// What a run printed, and what the broker spent on it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sample {
    pub(crate) n: u64,
    pub(crate) secs: f64,
    pub(crate) rate: f64,
    pub(crate) cpu_per_10k: f64,
    pub(crate) rss_mb: f64,
    pub(crate) switches_per_job: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// From the start of a process to its first job.
    pub(crate) ms: f64,
    /// Of a core.
    pub(crate) cpu_share: f64,
    pub(crate) switches_per_sec: f64,
    /// Of a program that counts them, which is another than the one that is timed.
    pub(crate) allocations_per_job: Option<f64>,
    /// In µs of CPU.
    pub(crate) broker_per_job: f64,
}

/// The broker, and the programs.
#[derive(Debug)]
pub(crate) struct Stage {
    node: Node,
    /// Where the programs are: beside this one.
    programs: PathBuf,
    share: f64,
    queues: AtomicU64,
}

/// A queue of a run, and which programs use it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    programs: PathBuf,
    name: String,
    queue_type: QueueType,
}

/// What is run on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    program: &'a str,
    mode: &'a str,
    /// Jobs, or seconds.
    n: u64,
    options: &'a [&'a str],
}

impl<'a> Call<'a> {
    pub(crate) const fn new(program: &'a str, mode: &'a str, n: u64) -> Self {
        Self {
            program,
            mode,
            n,
            options: &[],
        }
    }

    fn of(row: &'a Row, n: u64) -> Self {
        Self::new(row.program, row.mode, n).told(&row.options)
    }

    pub(crate) const fn told(self, options: &'a [&'a str]) -> Self {
        Self { options, ..self }
    }
}

impl Stage {
    pub(crate) fn new(node: Node, share: f64) -> Self {
        let this = std::env::current_exe().expect("a program knows its file");
        Self {
            node,
            programs: this.parent().expect("a file is in a directory").to_owned(),
            share,
            queues: AtomicU64::new(0),
        }
    }

    /// On what it is measured, for who reads the tables elsewhere.
    pub(crate) async fn setting(&self, rounds: usize) -> String {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let version = self.node.ctl(&["version"]).await;
        let version = version.unwrap_or_else(|error| panic!("{error}"));
        let rounds = match rounds {
            1 => "one round".to_owned(),
            _ => format!("medians of {rounds} rounds"),
        };
        let share = match self.share {
            1.0 => String::new(),
            share => format!(", {share} of the jobs"),
        };
        format!(
            "RabbitMQ {} on the same machine, {cores} cores; {rounds}{share}.\n",
            version.trim()
        )
    }

    /// A queue that nobody has used.
    pub(crate) fn place(&self, queue_type: QueueType) -> Place {
        self.place_for(&self.programs, queue_type)
    }

    fn place_for(&self, programs: &Path, queue_type: QueueType) -> Place {
        Place {
            programs: programs.to_owned(),
            name: format!("bench-{}", self.queues.fetch_add(1, Ordering::Relaxed)),
            queue_type,
        }
    }

    /// As many of a number of jobs as this run has time for.
    pub(crate) fn share_of(&self, jobs: u64) -> u64 {
        ((jobs as f64 * self.share) as u64).max(100).min(jobs)
    }

    pub(crate) async fn play(&self, row: &Row, queue_type: QueueType) -> Vec<Sample> {
        let jobs = row.jobs(queue_type, self.share);
        let place = self.place(queue_type);
        match row.kind {
            Kind::Start => self.starts(row, &place, jobs).await,
            Kind::Stalled => vec![self.stalled(row, &place, jobs).await],
            Kind::Idle => vec![self.idle(row, &place, jobs).await],
            Kind::Rate | Kind::Latency => vec![self.timed(row, &place, jobs).await],
        }
    }

    async fn timed(&self, row: &Row, place: &Place, jobs: u64) -> Sample {
        match row.is_on_a_filled_queue() {
            true => self.fill(place, jobs).await,
            false => self.declare(place).await,
        }
        let before = self.node.cpu_seconds();
        let mut sample = self.run(place, Call::of(row, jobs)).await;
        sample.broker_per_job = (self.node.cpu_seconds() - before) / sample.n as f64 * 1e6;
        self.remove(place, &[]).await;
        sample
    }

    /// Leveret's queue, whoever is measured on it.
    pub(crate) async fn declare(&self, place: &Place) {
        self.run(place, Call::new("leveret-bench", "enqueue", 0)).await;
    }

    /// The same with jobs in it, from a socket: the quickest way.
    pub(crate) async fn fill(&self, place: &Place, jobs: u64) {
        self.declare(place).await;
        self.run(place, Call::new("bench-limit", "enqueue", jobs)).await;
    }

    /// The allocations per job of a row, of programs that count them and so are slower. `None`: there are none to be counted.
    pub(crate) async fn allocations(&self, row: &Row, queue_type: QueueType) -> Option<f64> {
        let programs = self.programs.join("counting");
        if row.kind != Kind::Rate || row.mode == "hop" || !programs.join(row.program).exists() {
            return None;
        }
        let place = self.place_for(&programs, queue_type);
        let jobs = row.jobs(queue_type, self.share * COUNTED);
        self.timed(row, &place, jobs).await.allocations_per_job
    }

    async fn idle(&self, row: &Row, place: &Place, secs: u64) -> Sample {
        let sample = self.run(place, Call::of(row, secs)).await;
        self.remove(place, &row.options).await;
        sample
    }

    /// One process after the other, each with a job that waits for it.
    async fn starts(&self, row: &Row, place: &Place, processes: u64) -> Vec<Sample> {
        self.declare(place).await;
        let mut samples = Vec::new();
        for _ in 0..processes {
            self.run(place, Call::new("bench-limit", "enqueue", 1)).await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
            let since = now.as_nanos().to_string();
            let options = ["--since", since.as_str()];
            samples.push(self.run(place, Call::of(row, 1).told(&options)).await);
        }
        self.remove(place, &[]).await;
        samples
    }

    /// The broker stands still from shortly after the first enqueue on.
    async fn stalled(&self, row: &Row, place: &Place, jobs: u64) -> Sample {
        self.declare(place).await;
        let mut command = self.command(place, Call::of(row, jobs));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| cannot_run(row.program, &error));
        let mut words = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let first = words.next_line().await.expect("its words are a text");
        assert_eq!(first.as_deref(), Some("enqueueing"), "{} begins", row.program);
        self.node.pause();
        sleep(STALL).await;
        self.node.resume();
        let output = child.wait_with_output().await.expect("it was started");
        if !output.status.success() {
            let mut last = Vec::new();
            while let Ok(Some(line)) = words.next_line().await {
                last.push(line);
            }
            panic!("{}: {}: {}", row.program, output.status, last.join("\n"));
        }
        let sample = read(row.program, &output.stdout);
        assert!(sample.secs > STALL.as_secs_f64(), "all was over before the stall");
        self.remove(place, &[]).await;
        sample
    }

    pub(crate) async fn run(&self, place: &Place, call: Call<'_>) -> Sample {
        let sample = self.attempt(place, call).await;
        sample.unwrap_or_else(|words| panic!("{words}"))
    }

    /// The same; the error is what the program said.
    async fn attempt(&self, place: &Place, call: Call<'_>) -> Result<Sample, String> {
        let output = self.command(place, call).output().await;
        let output = output.unwrap_or_else(|error| cannot_run(call.program, &error));
        let words = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => Ok(read(call.program, &output.stdout)),
            false => Err(format!("{call:?}: {}: {}", output.status, words.trim())),
        }
    }

    fn command(&self, place: &Place, call: Call<'_>) -> Command {
        let mut command = Command::new(place.programs.join(call.program));
        command.args(["--url", &self.node.amqp_url(), "--mode", call.mode]);
        command.args(["--n", &call.n.to_string()]);
        command.args(["--queue", &place.name, "--qtype", &place.queue_type.to_string()]);
        command.args(call.options).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// The next run begins with a broker that has nothing. RabbitMQ may say INTERNAL_ERROR to a delete of a quorum queue that has just had much to do:
    /// its own wait for the members is over by then. Later it can be asked again.
    pub(crate) async fn remove(&self, place: &Place, options: &[&str]) {
        let call = Call::new("bench-lapin", "remove", 0).told(options);
        for _ in 1..REMOVALS {
            match self.attempt(place, call).await {
                Ok(_) => return,
                Err(words) => eprintln!("{words}; once more"),
            }
            sleep(REMOVAL_PAUSE).await;
        }
        self.run(place, call).await;
    }
}

fn cannot_run(program: &str, error: &std::io::Error) -> ! {
    panic!("cannot run {program}: {error}; `cargo xtask bench` builds it")
}

fn read(program: &str, line: &[u8]) -> Sample {
    let line = String::from_utf8_lossy(line);
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{program} printed {line:?}: {error}"))
}
