//! Runs every suite.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::broker::{self, Version};
use crate::installation::ROOT_VARIABLE;
use crate::shell;

/// What runs on a second version at every change: what a broker promises us, and what we promise when it is killed.
const ON_SECOND: [Suite; 2] = [CONTRACT, Suite::whole("kill")];

/// What runs on a version that is asked for: whatever needs a broker.
const ON_REQUEST: [Suite; 10] = [
    CONTRACT,
    Suite::whole("kill"),
    Suite::whole("rabbit"),
    Suite::whole("secure"),
    Suite::whole("producer"),
    Suite::whole("worker"),
    Suite::whole("kit"),
    Suite::whole("cluster"),
    Suite::whole("topology"),
    Suite::whole("schedules"),
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

/// Gets the broker, then runs unit, contract, broker and documentation tests, and some again on a second version.
///
/// A filter keeps to the workspace's own tests on the installed broker: the other runs have nothing that a filter would
/// be for.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Wanted {
        on,
        only_installed,
        filter,
    } = Wanted::read(arguments)?;
    if let Some(version) = on {
        return timed(version.name, || run_on(version, &ON_REQUEST, &filter));
    }
    broker::get_installed()?;
    // `--all-targets` would leave out the documentation's tests; without it both kinds run.
    timed("every suite", || {
        let mut every = shell::cargo();
        every
            .args(["test", "--workspace", "--no-fail-fast", "--"])
            .args(&filter);
        shell::run(&mut every)
    })?;
    if !filter.is_empty() {
        return Ok(());
    }
    timed("leveret without features", || {
        shell::run(shell::cargo().args(["test", "--package", "leveret", "--no-default-features"]))
    })?;
    let second = Version::SECOND;
    if only_installed {
        println!("xtask: NOT RUN, as asked: the suites on RabbitMQ {}", second.name);
        return Ok(());
    }
    timed("a second version", || run_on(second, &ON_SECOND, &[])).map_err(|error| {
        error.context(format!(
            "everything has passed on the installed RabbitMQ, and not on {} (--only-installed leaves that out)",
            second.name
        ))
    })
}

fn run_on(version: &Version, suites: &[Suite], filter: &[String]) -> Result<()> {
    let root = broker::get_root(version)?;
    suites.iter().try_for_each(|suite| {
        timed(&format!("{} on {}", suite.name, version.name), || {
            run_suite(suite, &root, filter)
        })
    })
}

fn run_suite(suite: &Suite, root: &Path, filter: &[String]) -> Result<()> {
    let mut command = shell::cargo();
    command.args([
        "test",
        "--package",
        "leveret-tests",
        "--no-fail-fast",
        "--test",
        suite.name,
        "--",
    ]);
    // Several filters would mean any of them.
    match filter {
        [] => command.args(suite.filter),
        filter => command.args(filter),
    };
    command.env(ROOT_VARIABLE, root);
    shell::run(&mut command)
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
