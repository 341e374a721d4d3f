//! Jobs that flow: one producer, some workers, each a process, and their files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use leveret::{DeadLetterRecord, Queue, Rabbit};
use leveret_tests::signal::eventually_within;
use leveret_tests::soak::record::{self, Produced, Started, Worked};
use leveret_tests::soak::{Findings, Reckoning, dead_letters, id_of};

use crate::clock;
use crate::program::{Program, behind, path};
use crate::scenario::Load;

/// How long the producer may take beyond its own time, and the workers for what is left then: a broker's slowest timer is three minutes.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long nothing may happen while confirmed jobs are not done. What the broker did not get rid of from one queue to the next it tries again after three
/// minutes, at each level of the delay ladder.
const SETTLING: Duration = Duration::from_secs(600);
/// So many jobs more are done after the cause, or the producer goes on beyond its number.
const AFTERWARDS: usize = 500;
/// No scenario lasts so many times longer than it is meant to.
const BEYOND: u64 = 50;
/// So many jobs a producer has open at the most.
const OPEN: u64 = 8_192;
/// Nothing is done for so long: what is left is dead, or waits for something slow.
const QUIET: Duration = Duration::from_secs(5);
/// A worker that drains has nothing left to do but what it holds.
const DRAIN: Duration = Duration::from_secs(60);

/// The producer, the workers, and what they wrote.
pub(crate) struct Flow {
    pub(crate) queue: String,
    /// What the producer connects to.
    url: String,
    load: Load,
    /// The command that starts the programs, where they live somewhere else.
    launcher: Vec<String>,
    directory: PathBuf,
    pub(crate) producer: Program,
    pub(crate) workers: Vec<Program>,
    /// Workers that have come to an end, by whatever cause.
    gone: Vec<Program>,
    /// So many workers were started: each has files of its own.
    started: usize,
    /// Jobs that may have been enqueued twice: they had no line when their producer was killed.
    doubtful: BTreeSet<u64>,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) findings: Findings,
    pub(crate) lost: Vec<u64>,
    pub(crate) produced: Vec<Produced>,
    pub(crate) worked: Vec<Worked>,
    /// How many runs of first attempts there were beyond one for each job. A retry may come twice from the broker by itself: one that is slow to confirm the
    /// hop of a dead letter to itself makes it again.
    pub(crate) repeated: u64,
    /// In KiB.
    pub(crate) producer_peak: u64,
    pub(crate) worker_peak: u64,
    pub(crate) longest_wait_ms: u64,
}

impl Flow {
    /// Starts everything. `way`: by what they connect.
    pub(crate) fn start(queue: &str, way: (&str, &[String]), load: Load, directory: &Path) -> Flow {
        let (url, launcher) = way;
        let mut flow = Flow {
            queue: queue.to_owned(),
            url: url.to_owned(),
            load,
            launcher: launcher.to_owned(),
            directory: directory.to_owned(),
            producer: start_producer(queue, way, load, directory, false),
            workers: Vec::new(),
            gone: Vec::new(),
            started: 0,
            doubtful: BTreeSet::new(),
        };
        for _ in 0..load.workers {
            flow.add_worker(&[]);
        }
        flow
    }

    /// Starts one more worker, with options beyond the usual; returns its place.
    pub(crate) fn add_worker(&mut self, more: &[&str]) -> usize {
        let name = format!("worker-{}", self.started);
        self.started += 1;
        let file = |kind: &str| self.directory.join(&name).with_extension(kind).display().to_string();
        let concurrency = self.load.concurrency.to_string();
        let mut arguments = [
            ["--url", &self.url],
            ["--queue", &self.queue],
            ["--name", &name],
            ["--concurrency", &concurrency],
            ["--work-ms", self.load.work_ms],
            ["--fail-rate", self.load.fail_rate],
            ["--out", &file("worked")],
            ["--starts", &file("starts")],
            ["--states", &file("states")],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
        let more = self.load.options.worker.iter().chain(more);
        arguments.extend(more.map(|&text| text.to_owned()));
        let command = clock::command(&path("soak-worker"), self.load.clock, &self.directory);
        let mut command = behind(&self.launcher, command);
        self.workers
            .push(Program::of(&mut command, &name, &arguments, &self.directory));
        self.workers.len() - 1
    }

    /// The processes that run.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let workers = self.workers.iter().map(Program::pid);
        workers.chain([self.producer.pid()]).collect()
    }

    /// Kills a worker (SIGKILL).
    pub(crate) async fn kill_worker(&mut self, place: usize) {
        let mut worker = self.workers.remove(place);
        worker.kill().await;
        self.gone.push(worker);
    }

    /// Ends a worker in order (SIGTERM), and waits for its end.
    pub(crate) async fn stop_worker(&mut self, place: usize) {
        let mut worker = self.workers.remove(place);
        worker.signal("TERM");
        worker.ended(DRAIN).await;
        self.gone.push(worker);
    }

    /// Puts another worker in the place of each that has come to an end by itself; returns with which statuses these ended.
    pub(crate) fn replace_ended(&mut self) -> Vec<std::process::ExitStatus> {
        let mut statuses = Vec::new();
        for mut worker in std::mem::take(&mut self.workers) {
            match worker.status() {
                None => self.workers.push(worker),
                Some(status) => {
                    statuses.push(status);
                    self.gone.push(worker);
                }
            }
        }
        for _ in &statuses {
            self.add_worker(&[]);
        }
        statuses
    }

    /// Kills the producer and starts it again, with `--resume`.
    pub(crate) async fn kill_and_resume_producer(&mut self) {
        self.producer.kill().await;
        let known: BTreeSet<u64> = self.produced().iter().map(|line| line.id).collect();
        self.doubtful
            .extend((0..known.len() as u64 + OPEN).filter(|id| !known.contains(id)));
        let way = (self.url.as_str(), self.launcher.as_slice());
        self.producer = start_producer(&self.queue, way, self.load, &self.directory, true);
    }

    /// What the producer has written down so far.
    pub(crate) fn produced(&self) -> Vec<Produced> {
        record::read(&self.directory.join("produced")).expect("its lines")
    }

    /// What the workers have written down so far.
    pub(crate) fn worked(&self) -> Vec<Worked> {
        self.files("worked")
            .iter()
            .flat_map(|file| record::read(file).expect("its lines"))
            .collect()
    }

    /// How the runs have started that the workers have written down so far, worker by worker.
    pub(crate) fn started(&self) -> Vec<Vec<Started>> {
        let files = self.files("starts");
        let read = |file: &PathBuf| record::read(file).expect("its lines");
        files.iter().map(read).collect()
    }

    /// What the worker that was started as this one, from 0, has written down so far.
    pub(crate) fn worked_by(&self, number: usize) -> Vec<Worked> {
        record::read(&self.files("worked")[number]).expect("its lines")
    }

    /// What the workers have written down so far of their states: since when, and the health in words.
    pub(crate) fn states(&self) -> Vec<Vec<(u64, String)>> {
        let line = |line: &str| {
            let (at, health) = line.split_once(' ')?;
            Some((at.parse().ok()?, health.to_owned()))
        };
        let read = |file: &PathBuf| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            text.lines().filter_map(line).collect()
        };
        self.files("states").iter().map(read).collect()
    }

    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let names = (0..self.started).map(|number| format!("worker-{number}"));
        names
            .map(|name| self.directory.join(name).with_extension(kind))
            .collect()
    }

    /// Waits until so many runs have succeeded.
    pub(crate) async fn wait_for_done(&mut self, count: usize) {
        let what = format!("{count} jobs are done");
        let done = async || self.done() >= count;
        eventually_within(PATIENCE, what, done).await;
    }

    /// Lets the producer come to its end, the workers do what is left, and ends them in order. `url`: where the broker answers by now;
    /// `destroyed`: jobs that need not come to their end.
    pub(crate) async fn end(mut self, url: &str, destroyed: &BTreeSet<u64>) -> Outcome {
        self.flow_on().await;
        self.producer.ended(PATIENCE).await;
        let mut reckoning = self.settle(url, destroyed).await;
        for worker in &mut self.workers {
            worker.signal("TERM");
        }
        for worker in &mut self.workers {
            worker.ended(DRAIN).await;
        }
        let peak = |programs: &[Program]| programs.iter().map(Program::peak).max().unwrap_or(0);
        // What was done once more while they drained counts too.
        reckoning.set_worked(self.worked());
        let started = self.started().concat();
        let repeated = repeated(&started);
        reckoning.add_started(started);
        Outcome {
            findings: reckoning.findings(),
            lost: reckoning.lost(),
            produced: self.produced(),
            worked: self.worked(),
            repeated,
            producer_peak: said(&self.producer, "peak_rss_kb").max(self.producer.peak()),
            worker_peak: peak(&self.workers).max(peak(&self.gone)),
            longest_wait_ms: said(&self.producer, "max_wait_ms"),
        }
    }

    /// Lets the producer go on until it has enqueued what it was to, and some jobs more are done: a busy machine may have taken long for the cause.
    async fn flow_on(&mut self) {
        let (began, before) = (tokio::time::Instant::now(), self.done());
        while self.producer.is_running() {
            let looked = tokio::time::Instant::now();
            let enough = self.produced().len() as u64 >= self.load.jobs && self.done() >= before + AFTERWARDS;
            if enough || began.elapsed() > PATIENCE {
                self.producer.signal("TERM");
                return;
            }
            self.producer.look();
            tokio::time::sleep(Duration::from_millis(500).max(5 * looked.elapsed())).await;
        }
    }

    /// How many runs have ended well.
    pub(crate) fn done(&self) -> usize {
        self.worked().iter().filter(|line| line.done).count()
    }

    /// Waits until every confirmed job is done or dead, or nothing has happened for as long as it may take.
    async fn settle(&mut self, url: &str, destroyed: &BTreeSet<u64>) -> Reckoning {
        let mut last = (0, tokio::time::Instant::now());
        loop {
            let looked = tokio::time::Instant::now();
            let mut reckoning = Reckoning::default();
            reckoning.add_produced(self.produced());
            reckoning.add_enqueued_twice(self.doubtful.iter().copied());
            let worked = self.worked();
            let runs = worked.len();
            reckoning.add_worked(worked);
            if last.0 != runs {
                last = (runs, tokio::time::Instant::now());
            }
            let quiet = last.1.elapsed();
            let nothing_comes = quiet > QUIET;
            // Dead letters are looked at when nothing else is left to come.
            if !reckoning.is_settled() && nothing_comes {
                reckoning.add_dead(dead(url, &self.queue).await);
            }
            let others_are_settled = || reckoning.lost().iter().all(|id| destroyed.contains(id));
            if reckoning.is_settled() || (nothing_comes && others_are_settled()) {
                reckoning.add_dead(dead(url, &self.queue).await);
                return reckoning;
            }
            if quiet > SETTLING {
                return reckoning;
            }
            for worker in &mut self.workers {
                worker.look();
                assert!(
                    worker.is_running(),
                    "{} has ended; it said: {}",
                    worker.name(),
                    worker.said()
                );
            }
            // A look at half a million lines takes its time.
            tokio::time::sleep(Duration::from_millis(200).max(5 * looked.elapsed())).await;
        }
    }
}

fn start_producer(
    queue: &str,
    (url, launcher): (&str, &[String]),
    load: Load,
    directory: &Path,
    resume: bool,
) -> Program {
    let out = directory.join("produced").display().to_string();
    let (jobs, rate) = ((load.jobs * BEYOND).to_string(), load.rate.to_string());
    let pairs = [
        ["--url", url],
        ["--queue", queue],
        ["--jobs", &jobs],
        ["--rate", &rate],
        ["--out", &out],
    ];
    let mut arguments: Vec<String> = pairs.concat().into_iter().map(str::to_owned).collect();
    arguments.extend(load.options.producer.iter().map(|&text| text.to_owned()));
    arguments.extend(resume.then(|| "--resume".to_owned()));
    let command = clock::command(&path("soak-producer"), load.clock, directory);
    Program::of(&mut behind(launcher, command), "producer", &arguments, directory)
}

/// How often a job was run as it was enqueued that had been run so already.
fn repeated(started: &[Started]) -> u64 {
    let mut runs: BTreeMap<u64, u64> = BTreeMap::new();
    for start in started.iter().filter(|start| start.attempt == 1) {
        *runs.entry(start.id).or_default() += 1;
    }
    runs.values().map(|count| count - 1).sum()
}

/// The jobs among the dead letters of a queue.
async fn dead(url: &str, queue: &str) -> Vec<u64> {
    let found = letters(url, queue).await;
    found.iter().filter_map(|letter| id_of(letter.id.as_str())).collect()
}

/// The dead letters of a queue, the lost ones too.
pub(crate) async fn letters(url: &str, queue: &str) -> Vec<DeadLetterRecord> {
    let rabbit = Rabbit::connect(url).await.expect("the broker answers by now");
    let queue = Queue::named(queue).expect("a name");
    let letters = dead_letters(&rabbit, &queue).await;
    rabbit.close().await;
    letters.expect("the broker lets itself be looked into")
}

/// A number from the last line that a program printed.
fn said(program: &Program, what: &str) -> u64 {
    let said = program.said();
    let line = said.rsplit(" | ").next().unwrap_or_default();
    let line: Option<serde_json::Value> = serde_json::from_str(line).ok();
    line.and_then(|line| line[what].as_u64()).unwrap_or(0)
}
