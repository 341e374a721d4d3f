//! What became of every job, by its id.
//!
//! # Layout
//!
//! - [`LossBook`]: what a test writes down while jobs are enqueued and run.
//! - [`Report`]: what follows from it.

mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leveret::HeaderValue;
use leveret_worker::Context;

pub use self::report::Report;
use crate::signal::Counter;

/// What the producer was told about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The broker has it: it must come to its end.
    Confirmed,
    /// The broker does not have it: it must never run.
    Refused,
    /// It never left: it must never run.
    NotSent,
    /// Nobody knows: it may run.
    Unknown,
}

/// One run of a job, as the handler sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    /// The attempt, from 1.
    pub attempt: u32,
    /// Raised by every republish: a retry is not a duplicate.
    pub hop: u32,
    /// The broker says that it may have delivered this message before.
    pub redelivered: bool,
    /// The producer says that it may have sent this message before.
    pub resent: bool,
}

impl Run {
    /// The run that a handler is in.
    ///
    /// # Panics
    ///
    /// If there is a header of the hops and it is not as Leveret writes it.
    pub fn of(context: &Context) -> Run {
        // A job that was not republished has none.
        let hop = context.header("leveret-hop").map_or(Some(0), HeaderValue::as_int);
        Run {
            attempt: context.attempt(),
            hop: hop.and_then(|hop| u32::try_from(hop).ok()).expect("our own header"),
            redelivered: context.is_redelivered(),
            resent: context.header("leveret-resent").is_some(),
        }
    }
}

/// A record of every job of a test. Clones share it; producers and handlers write at the same time.
#[derive(Debug, Clone)]
pub struct LossBook {
    jobs: Arc<Mutex<BTreeMap<String, Job>>>,
    done: Counter,
}

#[derive(Debug, Default)]
struct Job {
    /// The latest: a job enqueued again under its id has the fate of its last try, but a confirm is never unsaid.
    fate: Option<Fate>,
    /// Its fate was unknown at some time. Whoever enqueues it again under its id, as is right, makes two messages that know nothing
    /// of each other.
    doubted: bool,
    runs: Vec<Run>,
    done: bool,
}

impl Default for LossBook {
    fn default() -> LossBook {
        LossBook::new()
    }
}

impl LossBook {
    /// An empty book.
    pub fn new() -> LossBook {
        LossBook {
            jobs: Arc::default(),
            done: Counter::new("jobs done"),
        }
    }

    /// Writes down what the producer was told.
    pub fn enqueued(&self, id: impl Into<String>, fate: Fate) {
        let mut jobs = self.jobs();
        let job = jobs.entry(id.into()).or_default();
        job.doubted |= fate == Fate::Unknown;
        if job.fate != Some(Fate::Confirmed) {
            job.fate = Some(fate);
        }
    }

    /// Writes down that a job runs.
    pub fn ran(&self, id: impl Into<String>, run: Run) {
        self.jobs().entry(id.into()).or_default().runs.push(run);
    }

    /// Writes down that a job has come to its end: it succeeded, or its handler saw the last attempt fail.
    pub fn done(&self, id: impl Into<String>) {
        let first_time = !std::mem::replace(&mut self.jobs().entry(id.into()).or_default().done, true);
        if first_time {
            self.done.add();
        }
    }

    /// [`ran`](LossBook::ran) and [`done`](LossBook::done) in one.
    pub fn ran_to_end(&self, id: impl Into<String>, run: Run) {
        let id = id.into();
        self.ran(id.clone(), run);
        self.done(id);
    }

    /// Waits until `wanted` different jobs have come to their end.
    ///
    /// # Panics
    ///
    /// After [`DEADLINE`](crate::signal::DEADLINE); a longer run waits on [`done_counter`](LossBook::done_counter).
    #[track_caller]
    pub fn wait_for_done(&self, wanted: u64) -> impl Future<Output = ()> + Send + use<> {
        self.done.wait_for(wanted)
    }

    /// Counts the different jobs that have come to their end.
    pub fn done_counter(&self) -> Counter {
        self.done.clone()
    }

    /// What became of the jobs so far.
    pub fn report(&self) -> Report {
        let jobs = self.jobs();
        let count = |fates: &[Fate]| {
            jobs.values()
                .filter(|job| job.fate.is_some_and(|fate| fates.contains(&fate)))
                .count()
        };
        let ids = |of: fn(&Job) -> bool| -> Vec<String> {
            jobs.iter()
                .filter(|(_, job)| of(job))
                .map(|(id, _)| id.clone())
                .collect()
        };
        Report {
            confirmed: count(&[Fate::Confirmed]),
            refused: count(&[Fate::Refused, Fate::NotSent]),
            unknown: count(&[Fate::Unknown]),
            done: jobs.values().filter(|job| job.done).count(),
            lost: ids(Job::is_lost),
            ghosts: ids(Job::is_ghost),
            duplicates: ids(Job::is_duplicate),
            unexplained_duplicates: ids(Job::is_unexplained_duplicate),
        }
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn is_lost(&self) -> bool {
        self.fate == Some(Fate::Confirmed) && !self.done
    }

    fn is_ghost(&self) -> bool {
        let may_run = matches!(self.fate, Some(Fate::Confirmed | Fate::Unknown));
        !may_run && (self.done || !self.runs.is_empty())
    }

    fn is_duplicate(&self) -> bool {
        has_repetition(&self.runs)
    }

    /// The marked one of two may run first, so one unmarked run is in order wherever it stands.
    fn is_unexplained_duplicate(&self) -> bool {
        !self.doubted && has_repetition(self.runs.iter().filter(|run| !run.redelivered && !run.resent))
    }
}

/// Whether two of `runs` are the same attempt of the same message.
fn has_repetition<'a>(runs: impl IntoIterator<Item = &'a Run>) -> bool {
    let mut seen = BTreeSet::new();
    runs.into_iter().any(|run| !seen.insert((run.attempt, run.hop)))
}
