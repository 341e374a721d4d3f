//! How fast, compared in one run: a raw socket, plain lapin and Leveret in turn on a private broker.
//!
//! `measure [--rounds R] [--share S] [ROW…]`; `cargo xtask bench` builds it and the programs it starts. `--share 0.1` moves a tenth of the jobs. The rows by
//! name: only those, and what they are compared with.
//!
//! # Layout
//! - `rows`: what is measured
//! - `run`: one run of one row
//! - `table`: what came of it

// A broken expectation ends the run at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rows;
mod run;
mod table;

use std::process::ExitCode;

use leveret_tests::Node;
use lexopt::prelude::*;

use self::rows::{QueueType, Row};
use self::run::Stage;
use self::table::Results;

const USAGE: &str = "measure [--rounds R] [--share S] [ROW…]";

#[derive(Debug)]
struct Wanted {
    rounds: usize,
    /// Of the jobs.
    share: f64,
    /// None: all.
    rows: Vec<String>,
}

impl Wanted {
    fn read() -> Result<Self, lexopt::Error> {
        let mut wanted = Self {
            rounds: 3,
            share: 1.0,
            rows: Vec::new(),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("rounds") => wanted.rounds = parser.value()?.parse()?,
                Long("share") => wanted.share = parser.value()?.parse()?,
                Value(name) => wanted.rows.push(name.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        if wanted.rounds == 0 || wanted.share.is_nan() || wanted.share <= 0.0 {
            return Err("--rounds and --share are above 0".into());
        }
        Ok(wanted)
    }

    /// What is asked for, and what that is compared with.
    fn rows(&self) -> Result<Vec<Row>, lexopt::Error> {
        let asked: Vec<&str> = self.rows.iter().map(String::as_str).collect();
        let all = rows::all();
        let names: Vec<&str> = all.iter().map(|row| row.name).collect();
        if let Some(unknown) = asked.iter().find(|name| !names.contains(name)) {
            return Err(format!("there is no row {unknown:?}, but {}", names.join(", ")).into());
        }
        let bases: Vec<&str> = all
            .iter()
            .filter(|row| asked.contains(&row.name))
            .filter_map(|row| row.base)
            .collect();
        Ok(all
            .into_iter()
            .filter(|row| asked.is_empty() || asked.contains(&row.name) || bases.contains(&row.name))
            .collect())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let (wanted, rows) = match Wanted::read().and_then(|wanted| wanted.rows().map(|rows| (wanted, rows))) {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("measure: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let stage = Stage::new(Node::start().await, wanted.share);
    for queue_type in [QueueType::Quorum, QueueType::Classic] {
        let mut results = Results::default();
        for round in 1..=wanted.rounds {
            eprintln!("-- {queue_type}, round {round} of {}", wanted.rounds);
            for row in &rows {
                results.add(row, stage.play(row, queue_type).await);
            }
        }
        println!("{}", results.tables(queue_type));
    }
    ExitCode::SUCCESS
}
