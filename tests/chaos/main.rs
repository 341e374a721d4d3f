//! Every fault we can think of, by name, each with its exact counts of what was lost and what was done twice.
//!
//! `chaos list`; `chaos run NAME… | --group GROUP | --ci | --all [--at-once K]`; `chaos random --minutes M --seed S [--rate R]`. `cargo xtask chaos`
//! builds it and the programs it starts, finds the broker, and runs it; `LEVERET_TEST_RABBITMQ_ROOT` names another version of RabbitMQ,
//! as for the suites.
//!
//! # Layout
//! - `scenario`: what a scenario is, and all of them
//! - `stage`: the broker, the network and the programs of one scenario
//! - `way`: what stands between the programs and the broker
//! - `flow`: a producer and workers, as processes, with their files
//! - `held`: holding them, to count what the broker has
//! - `program`: one of these processes
//! - `clock`: the clocks of these processes
//! - `row`: what came of a scenario, judged
//! - `random`: many faults at once, by a seed
//! - `broker`, `network`, `cluster`, `ours`: the faults, by whose they are

// A broken expectation ends the scenario at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod clock;
mod cluster;
mod flow;
mod held;
mod network;
mod ours;
mod program;
mod random;
mod row;
mod scenario;
mod stage;
mod way;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use lexopt::prelude::*;

use self::row::Row;
use self::scenario::{Scenario, all};
use self::stage::Stage;

const USAGE: &str = "chaos list | chaos run NAME… | --group GROUP | --ci | --all [--at-once K] | chaos random --minutes M --seed S \
                     [--rate JOBS_PER_S]";

#[derive(Debug, Default)]
struct Wanted {
    names: Vec<String>,
    group: Option<String>,
    all: bool,
    /// Those that are short enough for every change.
    ci: bool,
    at_once: Option<usize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    leveret_tests::logs::init();
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let mut parser = lexopt::Parser::from_env();
    let command = match parser.next()? {
        Some(Value(command)) => command.string()?,
        _ => return Err("what shall it do?".into()),
    };
    match command.as_str() {
        "list" => {
            for scenario in all() {
                println!("{:<10} {:<36} {}", scenario.group, scenario.name, scenario.what);
            }
            Ok(true)
        }
        "run" => run_all(&read(&mut parser)?).await,
        "random" => {
            let row = random::play(read_random(&mut parser)?).await;
            println!("{}\n{row}", Row::head());
            Ok(row.is_good())
        }
        other => Err(format!("{other:?} is no command").into()),
    }
}

fn read(parser: &mut lexopt::Parser) -> Result<Wanted, lexopt::Error> {
    let mut wanted = Wanted::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) => wanted.names.push(name.string()?),
            Long("group") => wanted.group = Some(parser.value()?.string()?),
            Long("all") => wanted.all = true,
            Long("ci") => wanted.ci = true,
            Long("at-once") => wanted.at_once = Some(parser.value()?.parse()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(wanted)
}

fn read_random(parser: &mut lexopt::Parser) -> Result<random::Wanted, lexopt::Error> {
    let mut wanted = random::Wanted {
        minutes: 2.0,
        seed: 1,
        rate: 450,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("minutes") => wanted.minutes = parser.value()?.parse()?,
            Long("seed") => wanted.seed = parser.value()?.parse()?,
            Long("rate") => wanted.rate = parser.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(wanted)
}

/// Plays the scenarios that are wanted, prints a row for each, and says whether all went well.
async fn run_all(wanted: &Wanted) -> Result<bool, Box<dyn std::error::Error>> {
    let is_wanted = |scenario: &&Scenario| {
        wanted.all
            || wanted.ci && scenario::AT_EVERY_CHANGE.contains(&scenario.name)
            || wanted.group.as_deref() == Some(scenario.group)
            || wanted.names.iter().any(|name| name == scenario.name)
    };
    let every = all();
    if let Some(unknown) = wanted
        .names
        .iter()
        .find(|name| every.iter().all(|known| known.name != **name))
    {
        return Err(format!("there is no scenario {unknown:?}").into());
    }
    let chosen: Vec<&Scenario> = every.iter().filter(is_wanted).collect();
    if chosen.is_empty() {
        return Err("no scenario is wanted".into());
    }
    let count = chosen.len();
    println!("{}", Row::head());
    let mut rows = stream::iter(chosen)
        .map(play)
        .buffer_unordered(wanted.at_once.unwrap_or(1));
    let mut good = 0;
    while let Some(row) = rows.next().await {
        println!("{row}");
        good += usize::from(row.is_good());
    }
    println!("{good} of {count} scenarios went as promised");
    Ok(good == count)
}

async fn play(scenario: &Scenario) -> Row {
    let play = async {
        let mut stage = Stage::set(scenario).await;
        (scenario.act)(&mut stage).await;
        stage.end().await
    };
    match AssertUnwindSafe(play).catch_unwind().await {
        Ok(row) => row,
        Err(panic) => {
            let why = panic.downcast_ref::<String>().map(String::as_str);
            let why = why.or_else(|| panic.downcast_ref::<&str>().copied());
            Row::broken(scenario.name, why.unwrap_or("it panicked"))
        }
    }
}
