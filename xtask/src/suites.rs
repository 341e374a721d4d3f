//! Runs every suite.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::broker::{self, Version};
use crate::installation::ROOT_VARIABLE;
use crate::pool::{self, Run};
use crate::python;
use crate::shell;

/// What runs on a second version at every change: what a broker promises us, what we promise when it is killed, whatever depends on how
/// it counts, waits and dead-letters, and what others see of us through it.
const ON_SECOND: [Suite; 7] = [
    Suite::whole("worker"),
    Suite::whole("ladder"),
    Suite::whole("dead_letters"),
    Suite::whole("schedules"),
    CONTRACT,
    Suite::whole("interop"),
    Suite::whole("kill"),
];

/// What runs on a version that is asked for: whatever needs a broker.
const ON_REQUEST: [Suite; 13] = [
    CONTRACT,
    Suite::whole("kill"),
    Suite::whole("rabbit"),
    Suite::whole("secure"),
    Suite::whole("producer"),
    Suite::whole("worker"),
    Suite::whole("kit"),
    Suite::whole("cluster"),
    Suite::whole("topology"),
    Suite::whole("dead_letters"),
    Suite::whole("interop"),
    Suite::whole("ladder"),
    Suite::whole("schedules"),
];

/// The suites that take longest. They begin first, so that none of them is left alone at the end.
const LONGEST: [&str; 9] = [
    "demo",
    "kit",
    "cluster",
    "ladder",
    "dead_letters",
    "schedules",
    "debug_handler",
    "worker",
    "contract",
];

/// The half of the contract that has a broker behind it.
const CONTRACT: Suite = Suite {
    name: "contract",
    filter: Some("rabbit::"),
};

/// A test target of the package `leveret-tests`.
struct Suite {
    name: &'static str,
    filter: Option<&'static str>,
}

impl Suite {
    const fn whole(name: &'static str) -> Suite {
        Suite { name, filter: None }
    }
}

/// What `cargo xtask test` is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// `--on VERSION`: the suites that need a broker, on that one alone.
    on: Option<&'static Version>,
    /// `--only-installed`: no second version.
    only_installed: bool,
    /// What follows `--`: which tests, or how.
    filter: Vec<String>,
}

impl Wanted {
    fn read(arguments: &[String]) -> Result<Wanted> {
        let mut wanted = Wanted {
            on: None,
            only_installed: false,
            filter: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--only-installed" => wanted.only_installed = true,
                "--on" => match arguments.next() {
                    Some(name) => wanted.on = Some(Version::named(name)?),
                    None => bail!("--on wants a version"),
                },
                "--" => wanted.filter.extend(arguments.by_ref().cloned()),
                other => bail!("{other:?} is no option of `cargo xtask test`; a filter stands after --"),
            }
        }
        Ok(wanted)
    }
}

/// Gets the broker and a Python, then runs unit, contract, broker and documentation tests, and some again on a second version.
///
/// A filter keeps to the workspace's own tests on the installed broker: the other runs have nothing that a filter would
/// be for.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Wanted {
        on,
        only_installed,
        filter,
    } = Wanted::read(arguments)?;
    python::get()?;
    if let Some(version) = on {
        return timed(version.name, || run_on(version, &ON_REQUEST, &filter));
    }
    broker::get_installed()?;
    if !filter.is_empty() {
        // `--all-targets` would leave out the documentation's tests; without it both kinds run.
        let mut every = shell::cargo();
        every
            .args(["test", "--workspace", "--no-fail-fast", "--"])
            .args(&filter);
        return shell::run(&mut every);
    }
    let second = (!only_installed).then_some(Version::SECOND);
    timed("every suite", || run_every(second))?;
    timed("leveret without features", || {
        shell::run(shell::cargo().args(["test", "--package", "leveret", "--no-default-features"]))
    })?;
    if only_installed {
        println!(
            "xtask: NOT RUN, as asked: the suites on RabbitMQ {}",
            Version::SECOND.name
        );
    }
    Ok(())
}

/// Builds all once, and then runs every test of the workspace, and what runs on the second version too.
fn run_every(second: Option<&'static Version>) -> Result<()> {
    let root = second.map(broker::get_root).transpose()?;
    timed("building", || {
        shell::run(shell::cargo().args(["test", "--workspace", "--no-run", "--quiet"]))
    })?;
    let mut runs: Vec<Run> = targets()?
        .into_iter()
        .map(|target| of_workspace(&target, &["--test", &target]))
        .collect();
    runs.push(of_workspace("unit tests", &["--lib", "--bins"]));
    runs.push(of_workspace("documentation", &["--doc"]));
    if let Some((version, root)) = second.zip(root) {
        runs.extend(ON_SECOND.iter().map(|suite| on(version, suite, &root, &[])));
    }
    runs.sort_by_key(place);
    pool::run_all(runs)
}

/// The long ones first, but never a suite beside itself on another version: they need the same things at the same moment. The rest fills the gaps.
fn place(run: &Run) -> usize {
    let found = LONGEST.iter().position(|suite| run.name.starts_with(suite));
    match found {
        Some(place) if run.name.contains(" on ") => LONGEST.len() + place,
        Some(place) => place,
        None => 2 * LONGEST.len(),
    }
}

/// The names of all test targets of the workspace.
fn targets() -> Result<BTreeSet<String>> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps"];
    let metadata: Value = serde_json::from_str(&shell::output(shell::cargo().args(arguments))?)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")?;
    let all = packages.iter().filter_map(|package| package["targets"].as_array());
    let tests = all.flatten().filter(|target| target["kind"][0] == "test");
    Ok(tests
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect())
}

/// Always the whole workspace, and so always the same features: of one package alone everything would be built again.
fn of_workspace(name: &str, what: &[&str]) -> Run {
    let mut command = shell::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).args(what);
    if !what.contains(&"--") {
        command.arg("--");
    }
    // What tests print that pass is looked at too: see `pool`.
    command.arg("--show-output");
    Run {
        name: name.to_owned(),
        command,
    }
}

fn on(version: &Version, suite: &Suite, root: &Path, filter: &[String]) -> Run {
    let mut run = of_workspace(
        &format!("{} on {}", suite.name, version.name),
        &["--test", suite.name, "--"],
    );
    // Several filters would mean any of them.
    match filter {
        [] => run.command.args(suite.filter),
        filter => run.command.args(filter),
    };
    run.command.env(ROOT_VARIABLE, root);
    run
}

fn run_on(version: &Version, suites: &[Suite], filter: &[String]) -> Result<()> {
    let root = broker::get_root(version)?;
    shell::run(shell::cargo().args(["test", "--workspace", "--no-run", "--quiet"]))?;
    pool::run_all(suites.iter().map(|suite| on(version, suite, &root, filter)).collect())
}

fn timed(what: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    run()?;
    println!("---- {what}: {} s", begin.elapsed().as_secs());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wanted> {
        Wanted::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_before_the_dashes_and_a_filter_after_them() {
        let wanted = read("--on 4.0 -- kill --nocapture").unwrap();
        assert_eq!((wanted.on, wanted.only_installed), (Some(Version::SECOND), false));
        assert_eq!(wanted.filter, ["kill", "--nocapture"]);
        assert!(read("--only-installed").unwrap().only_installed);
    }

    #[test]
    fn what_is_no_option_is_refused() {
        assert!(read("kill").unwrap_err().to_string().contains("after --"));
        assert!(read("--on").is_err() && read("--on 1.0").is_err());
    }
}
