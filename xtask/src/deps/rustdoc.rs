//! Describes a crate's public API, by rustdoc's JSON output.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shell;

/// Set when cargo runs us in rustdoc's place.
const AS_RUSTDOC: &str = "XTASK_AS_RUSTDOC";

/// Where rustdoc shall write then, instead of where cargo tells it.
const OUTPUT: &str = "XTASK_RUSTDOC_OUTPUT";

/// The description of `package` with all its features.
///
/// rustdoc's JSON is unstable, and a stable compiler gives it only where it is told to. That is told to rustdoc alone,
/// through a wrapper (this program): cargo would build every dependency anew for it.
pub(crate) fn describe(package: &str) -> Result<Value> {
    let mut command = shell::cargo();
    describe_by(&mut command, package, &target_directory()?.join("doc"))
}

/// The same of the package in another tree, built where this workspace is built.
pub(crate) fn describe_in(tree: &Path, package: &str) -> Result<Value> {
    let target = target_directory()?;
    // Elsewhere: cargo takes a description for fresh that the other tree's has overwritten.
    let output = tree.join("described");
    let mut command = shell::cargo();
    command
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
        .env(OUTPUT, &output);
    describe_by(&mut command, package, &output)
}

fn describe_by(command: &mut Command, package: &str, output: &Path) -> Result<Value> {
    let this_program = env::current_exe().context("this program has no path")?;
    command.args([
        "rustdoc",
        "--quiet",
        "--lib",
        "--all-features",
        "--package",
        package,
        "--",
    ]);
    command.args(["-Z", "unstable-options", "--output-format", "json"]);
    shell::run(command.env("RUSTDOC", this_program).env(AS_RUSTDOC, "1"))?;
    let file = output.join(package.replace('-', "_")).with_extension("json");
    let text = fs::read_to_string(&file).with_context(|| format!("rustdoc wrote no {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
}

/// Whether cargo runs us in rustdoc's place.
pub(crate) fn is_wanted() -> bool {
    env::var_os(AS_RUSTDOC).is_some()
}

/// Runs the real rustdoc.
pub(crate) fn stand_in(arguments: &[String]) -> Result<()> {
    let mut arguments = arguments.to_vec();
    if let Some(output) = env::var(OUTPUT).ok().filter(|_| is_asked_for_json(&arguments))
        && let Some(at) = arguments
            .iter()
            .position(|argument| argument == "-o" || argument == "--out-dir")
    {
        arguments[at + 1] = output;
    }
    let status = Command::new("rustdoc")
        .args(arguments)
        .env("RUSTC_BOOTSTRAP", "1")
        .status();
    let status = status.context("cannot run rustdoc")?;
    if !status.success() {
        bail!("rustdoc ended with {status}");
    }
    Ok(())
}

/// Cargo asks rustdoc for other things as well, such as its version.
fn is_asked_for_json(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "json")
}

/// The top folder of this workspace.
pub(crate) fn workspace() -> Result<PathBuf> {
    path("workspace_root")
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> Result<PathBuf> {
    path("target_directory")
}

fn path(key: &str) -> Result<PathBuf> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps"];
    let metadata: Value = serde_json::from_str(&shell::output(shell::cargo().args(arguments))?)?;
    let path = metadata[key]
        .as_str()
        .with_context(|| format!("cargo metadata has no {key}"))?;
    Ok(PathBuf::from(path))
}
