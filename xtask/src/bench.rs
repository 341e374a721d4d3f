//! `cargo xtask bench`: a raw socket, plain lapin and Leveret in turn on a private broker, compared.

use std::process::Command;

use anyhow::Result;

use crate::deps::rustdoc;
use crate::{broker, shell};

/// Builds the programs as a user would, gets the broker, and measures. What follows goes to `measure`: `--rounds`, `--share`, rows by name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    broker::get_installed()?;
    // By itself: beside the suites the crates would be built with what only tests need.
    for package in [&["leveret-bench"][..], &["leveret-tests", "--bin", "measure"]] {
        shell::run(
            shell::cargo()
                .args(["build", "--release", "--quiet", "--package"])
                .args(package),
        )?;
    }
    let measure = rustdoc::target_directory()?.join("release/measure");
    shell::run_as("measure", Command::new(measure).args(arguments))
}
