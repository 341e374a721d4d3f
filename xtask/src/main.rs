//! The commands of this repository: `cargo xtask <command>`.
//!
//! # Layout
//!
//! - [`broker`]: gets RabbitMQ onto the machine, in several versions, never starts it.
//! - [`python`]: gets the Python that one suite needs.
//! - [`suites`]: runs every suite, with a broker, and some with two.
//! - [`chaos`]: every fault by name, and many at once, with counts of what was lost.
//! - [`bench`](mod@bench): how fast, compared with plain lapin and with what the broker can do.
//! - [`counts`]: the instructions of the hot paths, held against those recorded.
//! - [`pool`]: runs several programs at once.
//! - [`deps`]: checks what the crates let into the code of those who embed them.
//! - [`semver`]: checks that the public API keeps what it promised.
//! - [`shell`]: runs a program and says so.
//! - [`installation`]: where RabbitMQ is; shared with the test kit.
//! - [`interpreter`]: where that Python is; shared with the test kit.
//! - [`baseline`]: the version before this one; shared with the test kit.
//! - [`secret`]: the password that nothing may show; shared with the test kit.

// These four files belong to the test kit and to this program, so that they cannot disagree about where RabbitMQ and Python
// are, what the version before this one was and which word is secret; their items are public for the kit's sake.
#[path = "../../tests/src/baseline.rs"]
#[allow(unreachable_pub)]
mod baseline;
mod bench;
mod broker;
mod chaos;
mod counts;
mod deps;
#[path = "../../tests/src/installation.rs"]
#[allow(unreachable_pub)]
mod installation;
#[path = "../../tests/src/python.rs"]
#[allow(unreachable_pub)]
mod interpreter;
mod pool;
mod python;
#[path = "../../tests/src/secret.rs"]
#[allow(unreachable_pub, dead_code)]
mod secret;
mod semver;
mod shell;
mod suites;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask broker              get RabbitMQ (installed, never started)
cargo xtask broker VERSION      get another one into a root directory of its own: 3.10, 4.0, latest (as root)
cargo xtask python              get a Python with pika and kombu, for one suite
cargo xtask test [-- filter]    get both, then run every suite; some run on 4.0 too
         --only-installed       ... on the installed broker alone
         --on VERSION           ... only the suites that need a broker, on that version
cargo xtask chaos --all         play every fault on two versions, with exact counts of what was lost or done twice
         NAME… | --group GROUP  ... these faults; `--on VERSION` before them: on that version
         --minutes M --seed S   ... random faults, several at once, on a cluster of three
         --ci                   ... what a change has to pass
cargo xtask bench [ROW…]        how fast: Leveret, plain lapin and a raw socket in turn; `--rounds R`, `--share S` of the jobs; tables in target/bench.md
         --growth               ... Leveret alone, with more queues, workers, bytes, backlog, concurrency; charts in docs/performance
cargo xtask counts              count the instructions of the hot paths and compare; `--record` keeps the new numbers
cargo xtask deps                check the dependency tree and the public signatures
cargo xtask semver              compare the public API with that of the version before";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if deps::rustdoc::is_wanted() {
        return deps::rustdoc::stand_in(&arguments);
    }
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    match command {
        "broker" => broker::get(rest),
        "python" => python::get(),
        "test" => suites::run(rest),
        "chaos" => chaos::run(rest),
        "bench" => bench::run(rest),
        "counts" => counts::run(rest),
        "deps" => deps::check(),
        "semver" => semver::check(),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => bail!("no command {unknown:?}\n{USAGE}"),
    }
}
