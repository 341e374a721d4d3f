//! A user's project, outside the workspace: it compiles against the public API as documented, and its service and worker run
//! real jobs on a real RabbitMQ.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use leveret_tests::shared;
use leveret_tests::signal::soon;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Builds the project with the versions that the workspace has locked; where its programs are.
fn build() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    std::fs::copy(tests.join("../Cargo.lock"), tests.join("outside/Cargo.lock"))
        .expect("the workspace has a lock file");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--manifest-path"])
        .arg(tests.join("outside/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(
        status.expect("cargo runs").success(),
        "the project outside does not compile"
    );
    target.join("debug")
}

#[tokio::test]
async fn a_project_outside_the_workspace_compiles_and_runs_real_jobs() {
    // Given a user's service and worker
    let programs = tokio::task::spawn_blocking(build).await.expect("no panic");
    let url = shared().await.amqp_url();
    let mut worker = tokio::process::Command::new(programs.join("worker"))
        .env("AMQP_URL", &url)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it was built");
    let mut lines = BufReader::new(worker.stdout.take().expect("piped")).lines();

    // When the service enqueues a hundred welcomes and a report
    let mut service = tokio::process::Command::new(programs.join("service"));
    let service = service.env("AMQP_URL", &url).arg("100").kill_on_drop(true).status();
    assert!(soon("the service", service).await.expect("it runs").success());

    // Then the worker runs them all, retries one, rejects the report, and ends in order when it is asked to
    let mut told = BTreeSet::new();
    while told.len() < 101 {
        let line = soon("a line of the worker", lines.next_line()).await.expect("readable");
        told.insert(line.expect("it still runs"));
    }
    let expected = (0..100).map(|user| format!("welcome {user} attempt {}", if user == 3 { 2 } else { 1 }));
    let report = "report Monthly { year: 2026, month: 11 }".to_owned();
    assert_eq!(told, expected.chain([report]).collect());
    let pid = worker.id().expect("it still runs").to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill runs")
            .success()
    );
    let last = soon("the exit report", lines.next_line())
        .await
        .expect("readable")
        .expect("a line");
    assert!(last.starts_with("exit: "), "{last}");
    assert!(soon("the worker's end", worker.wait()).await.expect("waited").success());
}
