//! `cargo xtask bench`: a raw socket, plain lapin and Leveret in turn on a private broker, compared.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::deps::rustdoc;
use crate::{broker, shell};

/// What is compared.
const PROGRAMS: [&str; 3] = ["leveret-bench", "bench-lapin", "bench-limit"];

/// Where `docs/performance.md` shows them from.
const CHARTS: &str = "docs/performance";

/// Builds the programs as a user would, gets the broker, and measures. What follows goes to `measure`: `--rounds`, `--share`, rows by name.
///
/// The tables are also written to `bench.md` in the target directory. With `--growth`: the charts are drawn into `docs/performance`, and their numbers are
/// written to `growth.md`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    broker::get_installed()?;
    let target = rustdoc::target_directory()?;
    let release = target.join("release");
    build_counting(&release)?;
    // By itself: beside the suites the crates would be built with what only tests need.
    build(&["leveret-bench"])?;
    build(&["leveret-tests", "--bin", "measure"])?;
    let mut measure = Command::new(release.join("measure"));
    let (growth, rest): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| *argument == "--growth");
    let tables = if growth.is_empty() { "bench.md" } else { "growth.md" };
    measure.arg("--to").arg(target.join(tables)).args(rest);
    if !growth.is_empty() {
        fs::create_dir_all(CHARTS).with_context(|| format!("cannot make {CHARTS}"))?;
        measure.args(["--growth", CHARTS]);
    }
    shell::run_as("measure", &mut measure)
}

/// The programs once more, in a directory of their own, such that they count allocations; which slows them, so that it is not they that are timed.
fn build_counting(release: &Path) -> Result<()> {
    build(&["leveret-bench", "--features", "allocations"])?;
    let counting = release.join("counting");
    fs::create_dir_all(&counting).with_context(|| format!("cannot make {}", counting.display()))?;
    for program in PROGRAMS {
        // A copy: the next build puts another program into the place of this one.
        let copied = fs::copy(release.join(program), counting.join(program));
        copied.with_context(|| format!("cannot copy {program} to {}", counting.display()))?;
    }
    Ok(())
}

fn build(package: &[&str]) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--quiet", "--package"]).args(package);
    shell::run(&mut cargo)
}
