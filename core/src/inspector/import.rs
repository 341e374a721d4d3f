//! Bringing exported letters back: [`Import`] and its [report](ImportReport).

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{FuturesOrdered, StreamExt};

use super::bounds::Scan;
use super::error::InspectError;
use super::filter::Filter;
use super::record::{DeadLetterRecord, LetterId};
use super::{DeadLetters, line};
use crate::broker::Destination;
use crate::envelope::{DEFAULT_FRAME_MAX, Republish, fit_header, republish};
use crate::id::JobId;
use crate::lane::Publish;
use crate::ledger::{Fate, Target};
use crate::message::Message;

/// How many are on their way at once.
const WINDOW: usize = 100;

impl DeadLetters {
    /// Puts exported letters among these dead letters: with their ids, attempts and records as they were, one hop on. Each is confirmed. Await it, or say
    /// more first. To have them worked on, [redrive](Self::redrive) them afterwards.
    ///
    /// A letter that is here already, by its id and its hop, is left out and reported as such: one that was exported and never left, or
    /// one of an earlier import of the same line. One that was imported and has been redriven or discarded since is not remembered, and comes again.
    pub fn import(&self, lines: impl Into<String>) -> Import {
        Import {
            letters: self.clone(),
            lines: lines.into(),
            dry_run: false,
            again: false,
        }
    }
}

/// Exported letters about to be brought back. Made by [`DeadLetters::import`].
#[must_use = "nothing is imported until this is awaited"]
pub struct Import {
    letters: DeadLetters,
    lines: String,
    dry_run: bool,
    again: bool,
}

impl Import {
    /// Changes nothing: reports what each line would come to.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Imports also what is here already, and does not look whether it is.
    pub fn even_again(mut self) -> Self {
        self.again = true;
        self
    }

    async fn run(self) -> Result<ImportReport, InspectError> {
        let (mut known, mut scan) = (Known::default(), None);
        if !self.again {
            match self.letters.list(Filter::all()).await {
                Ok(here) => {
                    known.here.extend(here.found.iter().map(named));
                    scan = Some(here.scan);
                }
                // The first publish makes it.
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        let mut report = ImportReport {
            lines: Vec::new(),
            scan,
            dry_run: self.dry_run,
        };
        let mut flying = FuturesOrdered::new();
        for (number, text) in (1..).zip(self.lines.lines()) {
            if text.trim().is_empty() {
                continue;
            }
            flying.push_back(self.line(number, text, &mut known).await);
            while let Some(line) = match flying.len() >= WINDOW {
                true => flying.next().await,
                false => flying.next().now_or_never().flatten(),
            } {
                known.stopped |= line.is_unanswered();
                report.lines.push(line);
            }
        }
        report.lines.extend(flying.collect::<Vec<_>>().await);
        Ok(report)
    }

    /// Deals with one line: the future it gives knows what it came to.
    async fn line(
        &self,
        number: usize,
        text: &str,
        known: &mut Known,
    ) -> Pin<Box<dyn Future<Output = ImportedLine> + Send>> {
        let read =
            line::read(text).and_then(|letter| Ok((named(&DeadLetterRecord::read(&letter)), one_hop_on(&letter)?)));
        let (exported, letter) = match read {
            Ok(read) => read,
            Err(fault) => return done(number, None, Imported::Invalid(fault)),
        };
        let record = DeadLetterRecord::read(&letter);
        let id = Some(record.id.clone());
        if !self.again && !known.is_new(&exported, named(&record)) {
            return done(number, id, Imported::AlreadyHere);
        }
        if self.dry_run {
            return done(number, id, Imported::Stored);
        }
        if known.stopped {
            return done(number, id, Imported::NotTried);
        }
        let rabbit = &self.letters.source.rabbit;
        let publish = Publish {
            target: self.target(),
            message: letter,
            timeout: rabbit.options().deadlines().confirm,
        };
        let publishing = rabbit.enqueues().publish(publish).await;
        Box::pin(async move {
            let outcome = match publishing.await {
                Ok(()) => Imported::Stored,
                Err(fate) => Imported::NotStored(fate),
            };
            ImportedLine { number, id, outcome }
        })
    }

    /// Straight into the queue of these letters.
    fn target(&self) -> Target {
        let source = &self.letters.source;
        Target {
            destination: Destination::queue(&source.name).into(),
            declarations: match &source.work {
                Some(queue) => source.topology.declarations(queue),
                None => Arc::from([]),
            },
        }
    }
}

impl IntoFuture for Import {
    type Output = Result<ImportReport, InspectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import")
            .field("queue", &self.letters.queue_name())
            .field("bytes", &self.lines.len())
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

/// What names one message: a job's id and its hop.
type Name = (LetterId, u32);

/// The letters that need not be imported.
#[derive(Default)]
struct Known {
    /// In the queue when the import began.
    here: BTreeSet<Name>,
    /// Of this import.
    imported: BTreeSet<Name>,
    /// Nor shall any other be.
    stopped: bool,
}

impl Known {
    /// Whether a line's letter is neither here as it was exported, nor as an import makes it. What this import stores is compared only with
    /// what it stores: two lines of one job, one hop apart, are two letters.
    fn is_new(&mut self, exported: &Name, letter: Name) -> bool {
        !self.here.contains(exported) && !self.here.contains(&letter) && self.imported.insert(letter)
    }
}

fn named(record: &DeadLetterRecord) -> Name {
    (record.id.clone(), record.hop)
}

fn one_hop_on(letter: &Message) -> Result<Message, String> {
    let id = letter.properties.message_id.as_deref().unwrap_or_default();
    let id = JobId::new(id).map_err(|reason| reason.to_string())?;
    let attempt = DeadLetterRecord::read(letter).attempt;
    let letter = republish(letter, &id, attempt, &Republish::Again);
    fit_header(letter, DEFAULT_FRAME_MAX).map_err(|large| large.to_string())
}

fn done(number: usize, id: Option<LetterId>, outcome: Imported) -> Pin<Box<dyn Future<Output = ImportedLine> + Send>> {
    Box::pin(std::future::ready(ImportedLine { number, id, outcome }))
}

/// What one line came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportedLine {
    /// The line, counted from 1.
    pub number: usize,
    /// The letter in it, if it is one.
    pub id: Option<LetterId>,
    /// What it came to.
    pub outcome: Imported,
}

impl ImportedLine {
    /// Whether the broker does not answer publishes: each further line would have to wait for that to its deadline.
    fn is_unanswered(&self) -> bool {
        matches!(self.outcome, Imported::NotStored(Fate::NotSent | Fate::Unknown))
    }
}

/// What an exported letter came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Imported {
    /// It is stored and confirmed, or in a dry run would be sent.
    Stored,
    /// It is here already; see [`Import::even_again`].
    AlreadyHere,
    /// The line is not a letter, for this reason.
    Invalid(String),
    /// It was not stored, or nobody knows whether it was.
    NotStored(Fate),
    /// It was not sent, because the broker did not answer for one before it. Import the lines again.
    NotTried,
}

/// What an import did, or in a dry run would do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// What each line came to, in order; empty lines are left out.
    pub lines: Vec<ImportedLine>,
    /// Among which letters was looked for those that are here already; where it is partial, some may be twice. `None`: it was not
    /// looked, or there was no such queue yet.
    pub scan: Option<Scan>,
    /// Nothing was changed.
    pub dry_run: bool,
}

impl ImportReport {
    /// How many were stored, or in a dry run would be.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.count(|outcome| *outcome == Imported::Stored)
    }

    fn count(&self, is: impl Fn(&Imported) -> bool) -> usize {
        self.lines.iter().filter(|line| is(&line.outcome)).count()
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.dry_run { "would be " } else { "" };
        let invalid = self.count(|outcome| matches!(outcome, Imported::Invalid(_)));
        let failed = self.count(|outcome| matches!(outcome, Imported::NotStored(_)));
        let here = self.count(|outcome| *outcome == Imported::AlreadyHere);
        let stored = self.stored();
        write!(
            f,
            "{stored} {would}imported, {here} here already, {invalid} lines are no letters, {failed} not stored"
        )?;
        let rest = self.count(|outcome| *outcome == Imported::NotTried);
        if rest > 0 {
            write!(f, "; stopped: the broker does not answer publishes, {rest} not tried")?;
        }
        match &self.scan {
            Some(scan) if !scan.is_complete() => write!(f, "; some may be here twice: {scan}"),
            _ => Ok(()),
        }
    }
}
