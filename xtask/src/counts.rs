//! `cargo xtask counts`: the instructions of the hot paths, held against those that are recorded, so that no change slows them unseen.
//!
//! The paths run on the in-memory broker and one thread under callgrind (`tests/counts`). What is compared is instructions per job: the difference of a run and
//! one of twice as many jobs, so that neither start nor end counts. It is the same on a slow machine and on a busy one.
//!
//! What the counts depend on besides our code: the compiler, the C library (allocation, copies), the processor architecture, the dependencies in `Cargo.lock`, and
//! valgrind, which emulates a processor of its own and so decides which copying routines the C library takes. Compiler, library and valgrind stand beside the
//! numbers. The seeds of hash tables and ids are left to chance: over thousands of jobs they come to less than a thousandth.
//!
//! # Layout
//! - `record`: what is recorded, and the verdict

mod record;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use self::record::{Counts, Record, Setting};
use crate::deps::rustdoc;
use crate::{broker, shell};

/// Where the numbers are recorded.
const FILE: &str = "tests/counts/counts.json";

/// Jobs of the shorter run; the longer has twice as many.
const JOBS: u64 = 6_000;

/// `cargo xtask counts [--record]`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let record = match arguments {
        [] => false,
        [word] if word == "--record" => true,
        _ => bail!("cargo xtask counts [--record]"),
    };
    get_valgrind()?;
    // A profile of its own: in one codegen unit, what is inlined does not depend on how a crate happens to be cut.
    let mut build = shell::cargo();
    build.args(["build", "--quiet", "--profile", "counts", "--package", "leveret-counts"]);
    shell::run(&mut build)?;
    let program = rustdoc::target_directory()?.join("counts/leveret-counts");
    let now = Record {
        setting: setting()?,
        counts: count(&program)?,
    };
    if record {
        std::fs::write(FILE, now.text()).with_context(|| format!("cannot write {FILE}"))?;
        println!("recorded in {FILE}: {}", now.counts);
        return Ok(());
    }
    let text = std::fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    let recorded =
        Record::read(&text).with_context(|| format!("{FILE} is not what `cargo xtask counts --record` writes"))?;
    println!("{}", recorded.compare(&now)?);
    Ok(())
}

fn count(program: &PathBuf) -> Result<Counts> {
    let per_job = |path: &str| -> Result<f64> {
        let once = instructions(program, path, JOBS)?;
        let twice = instructions(program, path, 2 * JOBS)?;
        Ok(twice.saturating_sub(once) as f64 / JOBS as f64)
    };
    let (enqueue, both) = (per_job("enqueue")?, per_job("work")?);
    Ok(Counts {
        enqueue: enqueue.round(),
        work: (both - enqueue).round(),
    })
}

/// All instructions of a process.
fn instructions(program: &PathBuf, path: &str, jobs: u64) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([path, &jobs.to_string()])
        .stdin(Stdio::null())
        // How the C library was tuned by whoever runs this is no part of the count.
        .env_remove("GLIBC_TUNABLES");
    let output = command.output().context("cannot run valgrind")?;
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{path} under valgrind: {}: {words}", output.status);
    }
    record::collected(&words).with_context(|| format!("valgrind told no count: {words}"))
}

fn setting() -> Result<Setting> {
    let first_line = |program: &str, arguments: &[&str]| -> Result<String> {
        let text = shell::output(Command::new(program).args(arguments))?;
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    };
    Ok(Setting {
        compiler: first_line("rustc", &["--version"])?,
        library: first_line("getconf", &["GNU_LIBC_VERSION"])?,
        valgrind: first_line("valgrind", &["--version"])?,
        architecture: std::env::consts::ARCH.to_owned(),
    })
}

/// Installs valgrind where that is possible, or says who has to.
fn get_valgrind() -> Result<()> {
    if shell::answers("valgrind", &["--version"]) {
        return Ok(());
    }
    if !shell::answers("apt-get", &["--version"]) || !broker::is_root()? {
        bail!(
            "valgrind is missing: install it by your system's package manager (Debian: `sudo apt-get install valgrind`)"
        );
    }
    // The library's debug symbols: without them valgrind cannot replace what it has to.
    broker::install(&["valgrind", "libc6-dbg"])
}
