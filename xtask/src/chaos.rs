//! `cargo xtask chaos`: every fault by name, or many at once by a seed, on real brokers.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::broker::{self, Version};
use crate::deps::rustdoc;
use crate::installation::ROOT_VARIABLE;
use crate::{python, shell};

/// Most of a scenario is waiting, even on two cores.
const AT_ONCE: &str = "2";
/// What the change of a line has to pass: a short random run, always the same one.
const SHORT_RUN: [&str; 4] = ["--minutes", "2", "--seed", "1"];
/// On two cores beside nothing else, with room.
const SHORT_RATE: [&str; 2] = ["--rate", "200"];

/// Programs that scenarios break things with, and the Debian packages that have them.
const TOOLS: [(&str, &[&str], &str); 4] = [
    ("faketime", &["--version"], "faketime"),
    ("iptables", &["--version"], "iptables"),
    ("tc", &["-Version"], "iproute2"),
    ("unshare", &["--version"], "util-linux"),
];

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// `--all`: the whole matrix, on both versions.
    All,
    /// `--ci`: what a change has to pass.
    Ci,
    /// `--minutes M --seed S`: one long run.
    Random(Vec<String>),
    /// Scenarios by name, or `--group`.
    Some(Vec<String>),
}

impl Wanted {
    fn read(arguments: &[String]) -> Result<Wanted> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let of_random = ["--minutes", "--seed", "--rate"];
        match words.as_slice() {
            [] => bail!("cargo xtask chaos --all | --ci | --minutes M --seed S | --group GROUP | NAME…"),
            ["--all"] => Ok(Wanted::All),
            ["--ci"] => Ok(Wanted::Ci),
            [first, ..] if of_random.contains(first) => Ok(Wanted::Random(arguments.to_vec())),
            _ => Ok(Wanted::Some(arguments.to_vec())),
        }
    }
}

/// Builds the programs, gets the broker, and plays what is wanted. `--on VERSION` first: on that version.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (on, rest) = match arguments {
        [option, version, rest @ ..] if option == "--on" => (Some(Version::named(version)?), rest),
        all => (None, all),
    };
    let wanted = Wanted::read(rest)?;
    broker::get_installed()?;
    python::get()?;
    get_tools()?;
    // As for the suites: the same features, or everything would be built again.
    shell::run(shell::cargo().args(["test", "--workspace", "--no-run", "--quiet"]))?;
    let program = rustdoc::target_directory()?.join("debug/chaos");
    match wanted {
        Wanted::All => {
            let second = Version::SECOND;
            let both = [None, Some(second)].map(|version| {
                let scenarios = play(&program, version, &["run", "--all", "--at-once", AT_ONCE]);
                scenarios.and(play(
                    &program,
                    version,
                    &[&["random"][..], &SHORT_RUN, &SHORT_RATE].concat(),
                ))
            });
            both.into_iter().collect()
        }
        Wanted::Ci => {
            play(&program, on, &["run", "--ci", "--at-once", AT_ONCE])?;
            play(&program, on, &[&["random"][..], &SHORT_RUN, &SHORT_RATE].concat())
        }
        Wanted::Random(options) => play(&program, on, &with("random", &options)),
        Wanted::Some(names) => play(&program, on, &with("run", &names)),
    }
}

/// Installs what is missing.
fn get_tools() -> Result<()> {
    let is_missing = |(program, arguments, _): &&(&str, &[&str], &str)| !shell::answers(program, arguments);
    let missing: Vec<&str> = TOOLS
        .iter()
        .filter(is_missing)
        .map(|(_, _, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let has_apt = Path::new("/usr/bin/apt-get").exists();
    if !has_apt || !broker::is_root()? {
        bail!(
            "some faults need programs of these Debian packages: {}",
            missing.join(" ")
        );
    }
    broker::install(&missing)
}

fn with<'a>(command: &'a str, rest: &'a [String]) -> Vec<&'a str> {
    [command].into_iter().chain(rest.iter().map(String::as_str)).collect()
}

fn play(program: &PathBuf, on: Option<&'static Version>, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments);
    let version = on.map_or("the installed RabbitMQ", |version| version.name);
    if let Some(version) = on {
        command.env(ROOT_VARIABLE, broker::get_root(version)?);
    }
    shell::run_as(&format!("chaos {}, on {version}", arguments.join(" ")), &mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wanted> {
        Wanted::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_long_run_is_told_from_scenarios_by_its_options() {
        assert_eq!(read("--all").unwrap(), Wanted::All);
        assert_eq!(read("--ci").unwrap(), Wanted::Ci);
        let names = |line: &str| line.split(' ').map(str::to_owned).collect();
        let line = "--minutes 20 --seed 7";
        assert_eq!(read(line).unwrap(), Wanted::Random(names(line)));
        for line in ["broker-killed worker-killed", "--group cluster"] {
            assert_eq!(read(line).unwrap(), Wanted::Some(names(line)));
        }
        assert!(read("").is_err());
    }
}
