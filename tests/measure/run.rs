//! One run of one row: a program, on a queue of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use leveret_tests::Node;
use serde::Deserialize;
use tokio::process::Command;

use crate::rows::{QueueType, Row};

/// What a run printed, and what the broker spent on it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sample {
    pub(crate) n: u64,
    #[serde(default)]
    pub(crate) rate: f64,
    #[serde(default)]
    pub(crate) cpu_per_10k: f64,
    pub(crate) rss_mb: f64,
    #[serde(default)]
    pub(crate) switches_per_job: f64,
    #[serde(default)]
    pub(crate) p50_ms: f64,
    #[serde(default)]
    pub(crate) p99_ms: f64,
    /// In µs of CPU.
    #[serde(default)]
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

    pub(crate) async fn play(&self, row: &Row, queue_type: QueueType) -> Sample {
        let name = format!("bench-{}", self.queues.fetch_add(1, Ordering::Relaxed));
        let queue = ["--queue", &name, "--qtype", &queue_type.to_string()];
        let jobs = ((row.jobs[queue_type.index()] as f64 * self.share) as u64).max(100);
        // Leveret's queue for all of them.
        self.run("leveret-bench", "enqueue", 0, &queue).await;
        if row.mode == "work" {
            self.run("bench-limit", "enqueue", jobs, &queue).await;
        }
        let before = self.node.cpu_seconds();
        let options = [&queue, &row.options[..]].concat();
        let mut sample = self.run(row.program, row.mode, jobs, &options).await;
        let jobs = sample.n as f64;
        sample.broker_per_job = (self.node.cpu_seconds() - before) / jobs * 1e6;
        self.remove(&name).await;
        sample
    }

    async fn run(&self, program: &str, mode: &str, jobs: u64, options: &[&str]) -> Sample {
        let mut command = Command::new(self.programs.join(program));
        command.args(["--url", &self.node.amqp_url(), "--mode", mode, "--n", &jobs.to_string()]);
        command.args(options).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await;
        let output =
            output.unwrap_or_else(|error| panic!("cannot run {program}: {error}; `cargo xtask bench` builds it"));
        let line = String::from_utf8_lossy(&output.stdout);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{program} --mode {mode}: {}: {words}",
            output.status
        );
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{program} printed {line:?}: {error}"))
    }

    /// The next run begins with a broker that has nothing.
    async fn remove(&self, queue: &str) {
        let removed = self.node.ctl(&["delete_queue", "--quiet", queue]).await;
        removed.unwrap_or_else(|error| panic!("{error}"));
    }
}
