//! A root directory with another RabbitMQ: made once, kept, and never half there.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::source::{self, Source};
use super::version::Version;
use crate::deps::rustdoc;
use crate::installation::Installation;
use crate::shell;

/// Names a directory that keeps the roots, for machines where every checkout is a fresh one.
const CACHE_VARIABLE: &str = "LEVERET_BROKER_CACHE";

/// In a root: the number of its RabbitMQ, which would take a second to say it again.
const NUMBER: &str = "rabbitmq-number";

/// The root of `version`.
///
/// It is built beside its place and moved there when it is complete: what has the name can be used. Whatever an
/// interrupted build left is removed by the next one; a lock keeps two of them apart.
pub(super) fn get(version: &Version) -> Result<PathBuf> {
    let cache = cache()?;
    let root = cache.join(version.name);
    if root.is_dir() {
        return Ok(root);
    }
    // Asked before anything is made: where there is no way, nothing is left behind.
    let source = Source::choose(version)?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let _until_the_end_of_this_call = lock(&cache.join(format!("{}.lock", version.name)))?;
    if root.is_dir() {
        return Ok(root);
    }
    let unfinished = cache.join(format!("{}.unfinished", version.name));
    remove(&unfinished)?;
    println!("RabbitMQ {}: making {}", version.name, root.display());
    source.fill(&unfinished, version)?;
    let number = ask_version(&unfinished)?;
    if !version.covers(&number) {
        bail!("{source} holds RabbitMQ {number}, which is no {}", version.name);
    }
    fs::write(unfinished.join(NUMBER), &number).with_context(|| format!("cannot write to {}", unfinished.display()))?;
    fs::rename(&unfinished, &root).with_context(|| format!("cannot make {}", root.display()))?;
    Ok(root)
}

/// The number of the RabbitMQ under `root`, a complete one.
pub(super) fn number_in(root: &Path) -> Result<String> {
    let file = root.join(NUMBER);
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

fn ask_version(root: &Path) -> Result<String> {
    let bin = Installation::in_root(root).map_err(anyhow::Error::msg)?;
    let mut command = Command::new("chroot");
    command
        .arg(root)
        .args(["/usr/bin/env", "-i", source::PATH, "HOME=/root", "LC_ALL=C.UTF-8"]);
    command.arg(bin.bin().join("rabbitmqctl")).arg("version");
    Ok(shell::output(&mut command)?.trim().to_owned())
}

fn cache() -> Result<PathBuf> {
    match env::var_os(CACHE_VARIABLE).filter(|directory| !directory.is_empty()) {
        Some(directory) => std::path::absolute(directory).context("there is no current directory"),
        None => Ok(rustdoc::target_directory()?.join("brokers")),
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Removes what an interrupted build left.
///
/// Its mounts went with its processes. Should there be one all the same, nothing is removed: it may be this machine's
/// own `/dev`.
fn remove(unfinished: &Path) -> Result<()> {
    if !unfinished.exists() {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if let Some(mount) = mount_under(unfinished, &mounts) {
        bail!("{mount} is mounted; umount it, then remove {}", unfinished.display());
    }
    fs::remove_dir_all(unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))
}

/// The first mount point at or under `directory`, in the words of `/proc/self/mounts`.
fn mount_under<'a>(directory: &Path, mounts: &'a str) -> Option<&'a str> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    points.into_iter().find(|point| Path::new(point).starts_with(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_under_a_directory_is_found_and_one_beside_it_is_not() {
        let mounts = "proc /proc proc rw 0 0\nnone /cache/4.0.unfinished/dev devtmpfs rw 0 0\n";
        let found = mount_under(Path::new("/cache/4.0.unfinished"), mounts);
        assert_eq!(found, Some("/cache/4.0.unfinished/dev"));
        assert_eq!(mount_under(Path::new("/cache/4.0"), mounts), None);
    }
}
