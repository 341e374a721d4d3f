//! The version before this one: the last that was released, or that others build on.
//!
//! Imports nothing but std: `xtask` includes this file too, to compare the public API with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Holds the commit.
pub const FILE: &str = "tests/skew/baseline";

/// The commit of the version before this one.
///
/// # Errors
///
/// Says that it cannot be read.
pub fn commit(workspace: &Path) -> Result<String, String> {
    let text = fs::read_to_string(workspace.join(FILE)).map_err(|error| format!("cannot read {FILE}: {error}"))?;
    Ok(text.trim().to_owned())
}

/// The tree of the version before this one, written under `directory` unless it is there.
///
/// # Errors
///
/// Says what is missing, and what to do.
pub fn check_out(workspace: &Path, directory: &Path) -> Result<PathBuf, String> {
    let commit = commit(workspace)?;
    let tree = directory.join(&commit);
    if tree.is_dir() {
        return Ok(tree);
    }
    // Beside its place first: what has the name is complete.
    let unfinished = directory.join(format!("{commit}.{}", std::process::id()));
    fs::create_dir_all(&unfinished).map_err(|error| format!("cannot create {}: {error}", unfinished.display()))?;
    extract(workspace, &commit, &unfinished)?;
    match fs::rename(&unfinished, &tree) {
        Ok(()) => Ok(tree),
        // Another process was faster.
        Err(_) if tree.is_dir() => Ok(tree),
        Err(error) => Err(format!("cannot make {}: {error}", tree.display())),
    }
}

fn extract(workspace: &Path, commit: &str, into: &Path) -> Result<(), String> {
    let run = |error| format!("cannot run git or tar: {error}");
    let mut archive = Command::new("git")
        .arg("-C")
        .arg(workspace)
        .args(["archive", "--format=tar", commit])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(run)?;
    let output = archive.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let unpacked = Command::new("tar")
        .args(["-x", "-C"])
        .arg(into)
        .stdin(output)
        .status()
        .map_err(run)?;
    let archived = archive.wait().map_err(run)?;
    if archived.success() && unpacked.success() {
        return Ok(());
    }
    let _what_there_is_of_it = fs::remove_dir_all(into);
    Err(format!(
        "commit {commit}, which {FILE} names, cannot be checked out: this clone is shallow, or no clone. \
         Run `git fetch --unshallow`, or clone it whole."
    ))
}
