//! How fast, compared in one run: a raw socket, plain lapin and Leveret in turn on a private broker.
//!
//! `measure [--rounds R] [--share S] [--to FILE] [--growth DIRECTORY | ROW…]`; `cargo xtask bench` builds it and the programs it starts. `--share 0.1` moves a tenth of the jobs.
//! The rows by name: only those, and what they are compared with. `--to` writes the tables to a file as well.
//! `--growth` compares Leveret with itself instead, with more queues, workers, bytes, backlog and concurrency, and draws a chart of each into a directory.
//!
//! # Layout
//! - `rows`: what is measured
//! - `run`: one run of one row
//! - `table`: what came of it
//! - `growth`: the same work with more of one thing
//! - `chart`: what came of that

// A broken expectation ends the run at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chart;
mod growth;
mod rows;
mod run;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use leveret_tests::Node;
use lexopt::prelude::*;

use self::rows::{QueueType, Row};
use self::run::Stage;
use self::table::Results;

const USAGE: &str = "measure [--rounds R] [--share S] [--to FILE] [--growth DIRECTORY | ROW…]";

#[derive(Debug)]
struct Wanted {
    rounds: usize,
    /// Of the jobs.
    share: f64,
    /// Where the tables go besides the output.
    to: Option<PathBuf>,
    /// Where the charts go, if those are wanted and not the rows.
    growth: Option<PathBuf>,
    /// None: all.
    rows: Vec<String>,
}

impl Wanted {
    fn read(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut wanted = Self {
            rounds: 3,
            share: 1.0,
            to: None,
            growth: None,
            rows: Vec::new(),
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("rounds") => wanted.rounds = parser.value()?.parse()?,
                Long("share") => wanted.share = parser.value()?.parse()?,
                Long("to") => wanted.to = Some(parser.value()?.into()),
                Long("growth") => wanted.growth = Some(parser.value()?.into()),
                Value(name) => wanted.rows.push(name.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        if wanted.rounds == 0 || wanted.share.is_nan() || wanted.share <= 0.0 {
            return Err("--rounds and --share are above 0".into());
        }
        if wanted.growth.is_some() && !wanted.rows.is_empty() {
            return Err("--growth has rows of its own".into());
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
    let read = Wanted::read(lexopt::Parser::from_env());
    let (wanted, rows) = match read.and_then(|wanted| wanted.rows().map(|rows| (wanted, rows))) {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("measure: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let stage = Stage::new(Node::start().await, wanted.share);
    let rounds = if wanted.growth.is_some() { 1 } else { wanted.rounds };
    let mut all = stage.setting(rounds).await;
    if let Some(directory) = &wanted.growth {
        for chart in growth::all(&stage).await {
            all.push_str(&chart.table());
            let file = directory.join(chart.name).with_extension("svg");
            if let Err(error) = write(&file, &chart.svg()) {
                return error;
            }
        }
        println!("{all}");
    } else {
        for queue_type in [QueueType::Quorum, QueueType::Classic] {
            let tables = compare(&stage, &wanted, &rows, queue_type).await;
            println!("{tables}");
            all.push_str(&tables);
        }
    }
    let written = wanted.to.map_or(Ok(()), |path| write(&path, &all));
    written.err().unwrap_or(ExitCode::SUCCESS)
}

async fn compare(stage: &Stage, wanted: &Wanted, rows: &[Row], queue_type: QueueType) -> String {
    let mut results = Results::default();
    let rows = || rows.iter().filter(|row| row.is_on(queue_type));
    for round in 1..=wanted.rounds {
        eprintln!("-- {queue_type}, round {round} of {}", wanted.rounds);
        for row in rows() {
            results.add(row, stage.play(row, queue_type).await);
        }
    }
    for row in rows() {
        results.add_allocations(row, stage.allocations(row, queue_type).await);
    }
    results.tables(queue_type)
}

fn write(path: &Path, text: &str) -> Result<(), ExitCode> {
    match std::fs::write(path, text) {
        Ok(()) => {
            eprintln!("written to {}", path.display());
            Ok(())
        }
        Err(error) => {
            eprintln!("measure: cannot write {}: {error}", path.display());
            Err(ExitCode::FAILURE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wanted, lexopt::Error> {
        Wanted::read(lexopt::Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn a_row_brings_what_it_is_compared_with() {
        let wanted = read("--rounds 1 --share 0.5 retry").expect("valid");
        let names: Vec<&str> = wanted.rows().expect("known").iter().map(|row| row.name).collect();
        assert_eq!(names, ["hop", "retry"]);
    }

    #[test]
    fn no_row_means_all_and_an_unknown_one_is_refused() {
        assert_eq!(
            read("").and_then(|all| all.rows()).expect("valid").len(),
            rows::all().len()
        );
        let error = read("fast").expect("a word").rows().expect_err("unknown");
        assert!(error.to_string().contains("enqueue-limit"), "{error}");
    }

    #[test]
    fn what_would_measure_nothing_is_refused() {
        for bad in ["--rounds 0", "--share 0", "--share nan", "--fast", "--growth docs work"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
