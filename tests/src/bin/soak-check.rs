//! Reckons what became of the jobs of a soak.
//!
//! `soak-check --produced FILE --worked FILE… [--starts FILE…] [--url U --queue Q]`
//!
//! Prints one line of JSON: `confirmed`, `done`, `lost`, `duplicates`, `unknown_done`, `dead`, `max_gap_ms` (the longest time between two jobs that were done),
//! `recovery_ms` (the longest in which confirmed jobs waited and none was done), and further counts. With `--url` and `--queue` it looks up which jobs are dead letters, in the queue for them or among the lost ones.
//! Exits with status 1 if a job was confirmed and is neither done nor dead.

use std::path::PathBuf;
use std::process::ExitCode;

use leveret::{Queue, Rabbit};
use leveret_tests::soak::{Reckoning, dead_letters, id_of, record, urls};
use lexopt::prelude::*;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "soak-check --produced FILE --worked FILE… [--starts FILE…] [--url U --queue Q]";

#[derive(Debug, Default)]
struct Arguments {
    produced: Vec<PathBuf>,
    worked: Vec<PathBuf>,
    starts: Vec<PathBuf>,
    url: Option<String>,
    queue: Option<String>,
}

impl Arguments {
    fn read() -> Result<Self, Failure> {
        let mut read = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            let files = match argument {
                Long("produced") => &mut read.produced,
                Long("worked") => &mut read.worked,
                Long("starts") => &mut read.starts,
                Long("url") => {
                    read.url = Some(urls::one_of(&parser.value()?.string()?)?);
                    continue;
                }
                Long("queue") => {
                    read.queue = Some(parser.value()?.string()?);
                    continue;
                }
                _ => return Err(argument.unexpected().into()),
            };
            files.extend(parser.values()?.map(PathBuf::from));
        }
        match (read.produced.is_empty(), read.url.is_some() == read.queue.is_some()) {
            (true, _) => Err("--produced is missing".into()),
            (_, false) => Err("--url and --queue go together".into()),
            _ => Ok(read),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak-check: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<bool, Failure> {
    let arguments = Arguments::read()?;
    let mut reckoning = Reckoning::default();
    for file in &arguments.produced {
        if !file.exists() {
            return Err(format!("there is no {}", file.display()).into());
        }
        reckoning.add_produced(record::read(file)?);
    }
    for file in &arguments.worked {
        reckoning.add_worked(record::read(file)?);
    }
    for file in &arguments.starts {
        reckoning.add_started(record::read(file)?);
    }
    if let Some((url, queue)) = arguments.url.zip(arguments.queue) {
        reckoning.add_dead(dead(&url, queue).await?);
    }
    println!("{}", serde_json::to_string(&reckoning.findings())?);
    Ok(reckoning.is_settled())
}

async fn dead(url: &str, queue: String) -> Result<Vec<u64>, Failure> {
    let rabbit = Rabbit::connect(url).await?;
    let letters = dead_letters(&rabbit, &Queue::named(queue)?).await;
    rabbit.close().await;
    Ok(letters?.iter().filter_map(|letter| id_of(letter.id.as_str())).collect())
}
