//! Runs every suite.

use anyhow::Result;

use crate::{broker, shell};

/// Gets the broker, then runs unit, contract, broker and documentation tests; `arguments` after `--` choose some.
///
/// A filter keeps to the workspace's own tests: the run without features has nothing that a filter would be for.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    broker::get()?;
    let filter = match arguments.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => arguments,
    };
    // `--all-targets` would leave out the documentation's tests; without it both kinds run.
    shell::run(
        shell::cargo()
            .args(["test", "--workspace", "--no-fail-fast"])
            .arg("--")
            .args(filter),
    )?;
    if filter.is_empty() {
        shell::run(shell::cargo().args(["test", "--package", "leveret", "--no-default-features"]))?;
    }
    Ok(())
}
