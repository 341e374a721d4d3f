//! Checks that the public API keeps what the version before it promised, unless the version number says otherwise.
//!
//! Both APIs are described by rustdoc, of the same toolchain: the one of this tree, and the one of the commit in
//! `tests/skew/baseline`. What was there and is not there any more, or not as it was, is a break; what is new is none.
//! `leveret-macros` is left out: its API is the keys of an attribute, which its own tests pin.
//!
//! # Layout
//!
//! - [`mod@listing`]: what is public, by its path.
//! - [`compare`]: what of it broke.

mod compare;
mod listing;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::compare::breaks;
use self::listing::listing;
use crate::baseline;
use crate::deps::rustdoc;

const PACKAGES: [&str; 2] = ["leveret", "leveret-worker"];

/// Compares the packages' public APIs with the version before, and fails where one broke without a new number.
pub(crate) fn check() -> Result<()> {
    let workspace = rustdoc::workspace()?;
    let directory = rustdoc::target_directory()?.join("baseline");
    let tree = baseline::check_out(&workspace, &directory).map_err(anyhow::Error::msg)?;
    // With the same versions below it: what both depend on is looked at once.
    std::fs::copy(workspace.join("Cargo.lock"), tree.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    let mut count = 0;
    for package in PACKAGES {
        count += check_package(package, &tree)?;
    }
    match count {
        0 => Ok(()),
        count => bail!(
            "{count} breaks of the public API. Either they are not meant, or the version in Cargo.toml is raised: \
             the minor number as long as the major one is 0, else the major one."
        ),
    }
}

fn check_package(package: &str, tree: &Path) -> Result<usize> {
    let (old, new) = (rustdoc::describe_in(tree, package)?, rustdoc::describe(package)?);
    let (before, now) = (number(&old)?, number(&new)?);
    let (old, new) = (listing(&old)?, listing(&new)?);
    let breaks = breaks(&old, &new);
    println!(
        "{package}: {} public items in {before}, {} in {now}, {} breaks",
        old.len(),
        new.len(),
        breaks.len()
    );
    breaks.iter().for_each(|broken| println!("- {broken}"));
    Ok(if may_break(&before, &now)? { 0 } else { breaks.len() })
}

fn number(description: &Value) -> Result<String> {
    let number = description["crate_version"].as_str();
    Ok(number
        .context("rustdoc's JSON has no \"crate_version\": its format has changed")?
        .to_owned())
}

/// Whether `now` may promise less than `before`: in 0.x the minor number says so, later the major one.
fn may_break(before: &str, now: &str) -> Result<bool> {
    let read = |number: &str| -> Result<(u64, u64)> {
        let mut parts = number.split('.').map(str::parse::<u64>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
            _ => bail!("{number:?} is no version"),
        }
    };
    let ((old_major, old_minor), (major, minor)) = (read(before)?, read(now)?);
    Ok(major > old_major || (major == 0 && old_major == 0 && minor > old_minor))
}

#[cfg(test)]
mod tests {
    use super::may_break;

    #[test]
    fn before_one_the_minor_number_permits_breaks_and_later_only_the_major_one() {
        for (before, now, permitted) in [
            ("0.1.0", "0.1.1", false),
            ("0.1.9", "0.2.0", true),
            ("0.2.0", "0.1.0", false),
            ("0.9.0", "1.0.0", true),
            ("1.2.0", "1.3.0", false),
            ("1.2.0", "2.0.0-rc.1", true),
        ] {
            assert_eq!(may_break(before, now).unwrap(), permitted, "{before} to {now}");
        }
        assert!(may_break("0.1.0", "soon").is_err());
    }
}
