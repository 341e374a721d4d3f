//! Clocks that jump, and no more file descriptors.

use std::process::Command;
use std::time::Duration;

use super::{GROUP, SOON};
use crate::scenario::{Clock, Scenario, Setup};
use crate::stage::{Stage, load};

const HOUR: i64 = 3_600;
/// How long a clock is wrong: it is looked at once a second, and everything shall have seen it.
const WRONG: Duration = Duration::from_secs(6);
/// As long as no socket can be opened.
const WITHOUT: Duration = Duration::from_secs(12);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        group: GROUP,
        name: "clock-jumps",
        what: "the date is an hour ahead, right, an hour behind, right again, for producer and workers",
        setup: Setup::Node(&[]),
        load: load(40).on(Clock::Wall),
        within: SOON,
        act: |stage| Box::pin(clock_jumps(stage)),
    },
    Scenario {
        group: GROUP,
        name: "clock-of-time-jumps",
        what: "an hour passes at once on every clock of producer and workers, as after a pause of a virtual machine",
        setup: Setup::Node(&[]),
        load: load(30).on(Clock::Both),
        within: SOON,
        act: |stage| Box::pin(time_jumps(stage)),
    },
    Scenario {
        group: GROUP,
        name: "no-file-descriptors",
        what: "every connection is closed while producer and workers may open no file or socket, for 12 seconds",
        setup: Setup::Node(&[]),
        load: load(35),
        within: SOON,
        act: |stage| Box::pin(no_descriptors(stage)),
    },
];

/// Nothing that decides goes by the date: nobody notices.
async fn clock_jumps(stage: &mut Stage) {
    stage.allowed.dead = Some(0);
    stage.allowed.once = true;
    stage.cause_begins();
    for seconds in [HOUR, 0, -HOUR, 0] {
        stage.set_clock(seconds);
        let before = stage.flow.worked().len();
        stage.last(WRONG).await;
        let after = stage.flow.worked();
        if after.len() == before {
            stage.fault(format!("no job was run while the date was off by {seconds} s"));
        }
        check_clock(stage, seconds);
    }
    stage.cause_ended();
}

/// Every deadline that was set before is over. What is lost with it comes back.
async fn time_jumps(stage: &mut Stage) {
    stage.allowed.dead = Some(0);
    stage.allowed.waits_unknown = true;
    stage.cause_begins();
    stage.set_clock(HOUR);
    stage.last(WRONG).await;
    check_clock(stage, HOUR);
    stage.cause_ended_ahead(Duration::from_secs(HOUR.unsigned_abs()));
    stage.note("waits are measured by the clock that jumped");
}

/// What is written now carries the time that the clock was set to.
fn check_clock(stage: &mut Stage, seconds: i64) {
    let now = leveret_tests::soak::record::now().cast_signed() + 1_000 * seconds;
    let near = |at: u64| (at.cast_signed() - now).abs() < 60_000;
    let by_worker = stage.flow.worked().iter().any(|line| near(line.at));
    let by_producer = stage.flow.produced().iter().any(|line| near(line.at));
    if !(by_worker && by_producer) {
        stage.fault(format!("the clock was not off by {seconds} s"));
    }
}

async fn no_descriptors(stage: &mut Stage) {
    stage.allowed.dead = Some(0);
    stage.expect_unready();
    let pids = stage.flow.pids();
    let limits: Vec<String> = pids.iter().map(|pid| limit_of(*pid)).collect();
    stage.cause_begins();
    for pid in &pids {
        // What is open stays open.
        set_limit(*pid, "4");
    }
    stage.node().close_all_connections().await;
    stage.last(WITHOUT).await;
    for (pid, limit) in pids.iter().zip(&limits) {
        set_limit(*pid, limit);
    }
    stage.cause_ended();
    let error = "Too many open files";
    let noticed = stage
        .flow
        .states()
        .iter()
        .flatten()
        .any(|(_, health)| health.contains(error));
    if !noticed {
        stage.fault(format!("no worker has said {error:?}"));
    }
}

fn limit_of(pid: u32) -> String {
    prlimit(pid, &["--nofile", "--output", "SOFT", "--noheadings", "--raw"])
}

/// The soft limit alone.
fn set_limit(pid: u32, limit: &str) {
    prlimit(pid, &[&format!("--nofile={limit}:")]);
}

fn prlimit(pid: u32, arguments: &[&str]) -> String {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &pid.to_string()]).args(arguments);
    let output = command.output();
    let output = output.expect("prlimit is needed to set limits: apt-get install util-linux");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "prlimit {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
