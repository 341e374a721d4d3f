//! Jobs that flow: one producer, some workers, each a process, and their files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use leveret::{DeadLetterRecord, DeadLetters, Filter, Queue, Rabbit};
use leveret_tests::signal::eventually_within;
use leveret_tests::soak::record::{self, Produced, Started, Worked};
use leveret_tests::soak::{Findings, Reckoning, id_of};

use crate::clock;
use crate::program::{Program, path};
use crate::scenario::Load;

/// How long the producer may take beyond its own time, and the workers for what is left then: a broker's slowest timer is three minutes.
const PATIENCE: Duration = Duration::from_secs(240);
/// A worker that drains has nothing left to do but what it holds.
const DRAIN: Duration = Duration::from_secs(60);

/// The producer, the workers, and what they wrote.
pub(crate) struct Flow {
    pub(crate) queue: String,
    /// What the producer connects to.
    url: String,
    load: Load,
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
    /// Starts everything. `url` is where they connect.
    pub(crate) fn start(queue: &str, url: &str, load: Load, directory: &Path) -> Flow {
        let mut flow = Flow {
            queue: queue.to_owned(),
            url: url.to_owned(),
            load,
            directory: directory.to_owned(),
            producer: start_producer(queue, url, load, directory, false),
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
        let more = self.load.options.iter().chain(more);
        arguments.extend(more.map(|&text| text.to_owned()));
        let mut command = clock::command(&path("soak-worker"), self.load.clock, &self.directory);
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
            .extend((0..self.load.jobs).filter(|id| !known.contains(id)));
        self.producer = start_producer(&self.queue, &self.url, self.load, &self.directory, true);
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
        let done = async || self.worked().iter().filter(|line| line.done).count() >= count;
        eventually_within(PATIENCE, what, done).await;
    }

    /// Lets the producer come to its end, the workers do what is left, and ends them in order. `url`: where the broker answers by now.
    pub(crate) async fn end(mut self, url: &str) -> Outcome {
        let own_time = Duration::from_secs(self.load.jobs / u64::from(self.load.rate.max(1)));
        self.producer.ended(own_time + PATIENCE).await;
        let reckoning = self.settle(url).await;
        for worker in &mut self.workers {
            worker.signal("TERM");
        }
        for worker in &mut self.workers {
            worker.ended(DRAIN).await;
        }
        let peak = |programs: &[Program]| programs.iter().map(Program::peak).max().unwrap_or(0);
        let mut reckoning = reckoning;
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
            producer_peak: self.producer.peak(),
            worker_peak: peak(&self.workers).max(peak(&self.gone)),
            longest_wait_ms: longest_wait(&self.producer.said()),
        }
    }

    /// Waits until every confirmed job is done or dead, or nothing has happened for as long as it may take.
    async fn settle(&mut self, url: &str) -> Reckoning {
        let mut last = (0, tokio::time::Instant::now());
        loop {
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
            let patience_ends = quiet > PATIENCE;
            // Dead letters are looked at when nothing else is left to come.
            if !reckoning.is_settled() && (quiet > Duration::from_secs(5) || patience_ends) {
                reckoning.add_dead(dead_letters(url, &self.queue).await);
            }
            if reckoning.is_settled() {
                reckoning.add_dead(dead_letters(url, &self.queue).await);
                return reckoning;
            }
            if patience_ends {
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
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn start_producer(queue: &str, url: &str, load: Load, directory: &Path, resume: bool) -> Program {
    let out = directory.join("produced").display().to_string();
    let (jobs, rate) = (load.jobs.to_string(), load.rate.to_string());
    let pairs = [
        ["--url", url],
        ["--queue", queue],
        ["--jobs", &jobs],
        ["--rate", &rate],
        ["--out", &out],
    ];
    let mut arguments: Vec<String> = pairs.concat().into_iter().map(str::to_owned).collect();
    arguments.extend(resume.then(|| "--resume".to_owned()));
    let mut command = clock::command(&path("soak-producer"), load.clock, directory);
    Program::of(&mut command, "producer", &arguments, directory)
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
pub(crate) async fn dead_letters(url: &str, queue: &str) -> Vec<u64> {
    let found = letters(url, queue).await;
    found.iter().filter_map(|letter| id_of(letter.id.as_str())).collect()
}

/// The dead letters of a queue.
pub(crate) async fn letters(url: &str, queue: &str) -> Vec<DeadLetterRecord> {
    let rabbit = Rabbit::connect(url).await.expect("the broker answers by now");
    let queue = Queue::named(queue).expect("a name");
    let listed = DeadLetters::of(&rabbit, &queue).list(Filter::all()).await;
    rabbit.close().await;
    match listed {
        Ok(listed) => {
            assert!(listed.scan.is_complete(), "{}", listed.scan);
            listed.found
        }
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// From the last line of a producer.
fn longest_wait(said: &str) -> u64 {
    let line = said.rsplit(" | ").next().unwrap_or_default();
    let line: Option<serde_json::Value> = serde_json::from_str(line).ok();
    line.and_then(|line| line["max_wait_ms"].as_u64()).unwrap_or(0)
}
