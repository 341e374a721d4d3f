//! The commands of this repository: `cargo xtask <command>`.
//!
//! # Layout
//!
//! - [`broker`]: gets RabbitMQ onto the machine, never starts it.
//! - [`suites`]: runs every suite, with a broker.
//! - [`shell`]: runs a program and says so.
//! - [`installation`]: where RabbitMQ is; shared with the test kit.

mod broker;
// One file for both, so that they cannot disagree about where RabbitMQ is; its items are public for the kit's sake.
#[path = "../../tests/src/installation.rs"]
#[allow(unreachable_pub)]
mod installation;
mod shell;
mod suites;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask broker              get RabbitMQ (installed, never started)
cargo xtask test [-- filter]    get the broker, then run every suite";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    match command {
        "broker" => broker::get(),
        "test" => suites::run(rest),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => bail!("no command {unknown:?}\n{USAGE}"),
    }
}
