//! One version of skew: yesterday's producers and workers together with today's, as in every rolling upgrade.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use leveret::{JobId, Message, Rabbit};
use leveret_tests::signal::{eventually, soon};
use leveret_tests::{baseline, shared, taker};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;

const JOBS: u64 = 60;

/// The same program, twice.
struct Programs {
    /// Built against the version before this one.
    old: PathBuf,
    /// Built against this tree.
    new: PathBuf,
}

async fn programs() -> &'static Programs {
    static PROGRAMS: OnceCell<Programs> = OnceCell::const_new();
    let build = || async { tokio::task::spawn_blocking(build_both).await.expect("no panic") };
    PROGRAMS.get_or_init(build).await
}

fn build_both() -> Programs {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = tests.parent().expect("the tests are in the workspace");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skew");
    let tree = baseline::check_out(workspace, &directory).unwrap_or_else(|why| panic!("{why}"));
    let old = tree.join("tests/skew");
    fs::create_dir_all(old.join("src")).expect("writable");
    for file in ["Cargo.toml", "src/main.rs"] {
        fs::copy(tests.join("skew").join(file), old.join(file)).expect("writable");
    }
    Programs {
        old: build(&old, &directory.join("old")),
        new: build(&tests.join("skew"), &directory.join("new")),
    }
}

/// Builds the project with the versions that the workspace has locked, beside the project of `outside.rs`, so that what
/// all of them depend on is built once.
fn build(project: &Path, program: &Path) -> PathBuf {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    fs::copy(lock, project.join("Cargo.lock")).expect("the workspace has a lock file");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    let status = std::process::Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--manifest-path"])
        .arg(project.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(
        status.expect("cargo runs").success(),
        "{} does not compile",
        project.display()
    );
    // The next build has the same name.
    fs::copy(target.join("debug/skew"), program).expect("it was built");
    program.to_owned()
}

/// A worker process, and what it says.
struct WorkerProcess {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl WorkerProcess {
    fn start(program: &Path, url: &str, queue: &str) -> WorkerProcess {
        let mut command = Command::new(program);
        command
            .args(["work", queue])
            .env("AMQP_URL", url)
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn().expect("it was built");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        WorkerProcess { process, lines }
    }

    async fn line(&mut self) -> String {
        self.lines.next_line().await.expect("readable").expect("it still runs")
    }

    /// Ends it in order; it says no more about jobs.
    async fn end(mut self) {
        let pid = self.process.id().expect("it still runs").to_string();
        let asked = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.expect("kill runs").success());
        let last = soon("the exit report", self.line()).await;
        assert!(
            last.starts_with("exit: ") && last.contains(", 0 left unacked"),
            "{last}"
        );
        assert!(
            soon("the worker's end", self.process.wait())
                .await
                .expect("waited")
                .success()
        );
    }
}

/// What workers say of all the jobs, in order: each line once, or a job was lost or run twice.
fn expected() -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..JOBS {
        let (of, tenant) = match number {
            7 => (1, "none"),
            8 => (9, "eu"),
            _ => (3, "none"),
        };
        let line =
            |end, attempt| format!("{number} {end}: attempt {attempt} of {of}, tenant {tenant}, id job-{number}");
        match number {
            5 | 7 => lines.push(line("failed", 1)),
            _ if number % 10 == 3 => lines.extend([line("failed", 1), line("done", 2)]),
            _ => lines.push(line("done", 1)),
        }
    }
    lines.sort_unstable();
    lines
}

async fn play(producer: &Path, workers: &[&Path]) {
    // Given workers, and a producer on the same queue
    let url = shared().await.amqp_url();
    let queue = format!("skew-{}", JobId::random());
    let mut workers: Vec<_> = workers
        .iter()
        .map(|program| WorkerProcess::start(program, &url, &queue))
        .collect();
    let mut produce = Command::new(producer);
    produce
        .args(["produce", &queue, &JOBS.to_string()])
        .env("AMQP_URL", &url)
        .kill_on_drop(true);

    // When it enqueues jobs that succeed, that are retried, that are rejected, and one with limits of its own
    assert!(soon("the producer", produce.status()).await.expect("it runs").success());
    let expected = expected();
    let mut said = Vec::new();
    while said.len() < expected.len() {
        let lines = workers.iter_mut().map(|worker| Box::pin(worker.line()));
        let (line, ..) = soon("a line of a worker", futures_util::future::select_all(lines)).await;
        said.push(line);
    }

    // Then each attempt has run once, and all ends in order
    said.sort_unstable();
    assert_eq!(said, expected);
    for worker in workers {
        worker.end().await;
    }
    let rabbit = Rabbit::connect(url.parse::<leveret::ConnectOptions>().expect("valid"))
        .await
        .expect("connected");
    let is_empty = async || taker::depth(&rabbit, &queue).await == 0;
    eventually("nothing is left", is_empty).await;
    assert_dead_letters(taker::take(&rabbit, &format!("{queue}.dead"), 2).await, &queue);
}

/// The job that was rejected and the one whose only attempt failed, each with the record of its failure.
fn assert_dead_letters(mut dead: Vec<Message>, queue: &str) {
    dead.sort_by_key(|message| message.properties.message_id.clone());
    let text = |message: &Message, header: &str| {
        let value = message.properties.headers.get(header);
        value.and_then(|value| value.as_text()).unwrap_or_default().to_owned()
    };
    let records: Vec<_> = dead
        .iter()
        .map(|message| {
            assert_eq!(message.properties.kind.as_deref(), Some("count"));
            assert!(text(message, "leveret-failure-error").ends_with("told to"));
            assert_eq!(text(message, "leveret-failure-queue"), queue);
            let id = message.properties.message_id.clone().unwrap_or_default().to_string();
            (id, text(message, "leveret-failure-reason"), message.body.to_vec())
        })
        .collect();
    let record = |number: u64, reason: &str| {
        (
            format!("job-{number}"),
            reason.to_owned(),
            format!(r#"{{"number":{number}}}"#).into_bytes(),
        )
    };
    assert_eq!(records, [record(5, "rejected"), record(7, "failed")]);
}

#[tokio::test]
async fn yesterday_s_jobs_are_run_by_today_s_worker() {
    let Programs { old, new } = programs().await;
    play(old, &[new]).await;
}

#[tokio::test]
async fn today_s_jobs_are_run_by_yesterday_s_worker() {
    let Programs { old, new } = programs().await;
    play(new, &[old]).await;
}

#[tokio::test]
async fn workers_of_both_versions_share_a_queue() {
    let Programs { old, new } = programs().await;
    play(new, &[old, new]).await;
}
