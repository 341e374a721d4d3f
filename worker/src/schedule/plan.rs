//! From what was written on the builder to the schedules that a worker runs, with every mistake found. No I/O.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use leveret::envelope::{Limits, headers};
use leveret::{Envelope, Job, JobId, Message, Queue};

use super::due::Terms;
use super::{Calendar, MakeJob, Rule, Schedule, Tick};
use crate::plan::Route;

/// The longest name of a schedule: it is part of a queue's name, of ids and of headers.
const LONGEST_NAME: usize = 100;

const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(366 * 24 * 3_600);

type Maker = Arc<dyn Fn(Tick) -> Result<Envelope, String> + Send + Sync>;

/// A schedule as it was written, with its job.
pub(crate) struct Draft {
    schedule: Schedule,
    job: &'static str,
    queue: Queue,
    make: Maker,
}

/// A schedule that a worker runs.
#[derive(Clone)]
pub(crate) struct SchedulePlan {
    pub(crate) name: String,
    pub(super) terms: Terms,
    pub(super) job: &'static str,
    /// Where the jobs go.
    pub(super) queue: Queue,
    make: Maker,
}

impl Draft {
    pub(super) fn new<M, F: MakeJob<M>>(schedule: Schedule, maker: F) -> Self {
        let make = move |tick| Envelope::new(maker.make(tick)).map_err(|error| error.to_string());
        Self {
            schedule,
            job: F::Job::NAME,
            queue: F::Job::QUEUE,
            make: Arc::new(make),
        }
    }

    /// The name of the job.
    pub(crate) fn job(&self) -> &'static str {
        self.job
    }
}

impl SchedulePlan {
    /// The message of a tick.
    ///
    /// # Errors
    /// Why there is none, in words without the job.
    pub(super) fn message(&self, tick: &Tick) -> Result<Message, String> {
        let made = catch_unwind(AssertUnwindSafe(|| (self.make)(tick.clone())));
        let envelope = made.map_err(|_| "the function that makes the job has panicked".to_owned())??;
        let id = JobId::new(tick.id()).map_err(|error| error.to_string())?;
        let envelope = envelope.with_id(id).with_queue(self.queue.clone());
        let mut message = envelope
            .to_message(&Limits::default())
            .map_err(|error| error.to_string())?;
        let table = &mut message.properties.headers;
        table.insert(headers::SCHEDULE.to_owned(), tick.schedule().into());
        table.insert(headers::TICK.to_owned(), tick.at.into());
        Ok(message)
    }
}

/// Each schedule with its queue, unless something is wrong with it.
pub(crate) fn plan_schedules(drafts: Vec<Draft>, routes: &[Route], problems: &mut Vec<String>) -> Vec<SchedulePlan> {
    let mut names = BTreeSet::new();
    let mut plans = Vec::new();
    for draft in drafts {
        let name = draft.schedule.name.clone().unwrap_or_else(|| draft.job.to_owned());
        if let Some(problem) = wrong_name(&name) {
            problems.push(problem);
            continue;
        }
        if !names.insert(name.clone()) {
            problems.push(format!(
                "two schedules are called `{name}`: give one of them another name with `.name(…)`"
            ));
            continue;
        }
        let route = routes.iter().rev().find(|route| route.job == draft.job);
        match calendar(draft.schedule.rule) {
            Ok(calendar) => plans.push(SchedulePlan {
                name,
                terms: Terms::new(calendar, draft.schedule.catch_up),
                job: draft.job,
                queue: route.map_or(draft.queue, |route| route.queue.clone()),
                make: draft.make,
            }),
            Err(problem) => problems.push(format!("the schedule `{name}` cannot be kept: {problem}")),
        }
    }
    plans
}

fn wrong_name(name: &str) -> Option<String> {
    let is_wrong = name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control);
    is_wrong.then(|| {
        format!("a schedule cannot be called {name:?}: its name must have 1 to {LONGEST_NAME} bytes and no control characters")
    })
}

fn calendar(rule: Rule) -> Result<Calendar, String> {
    match rule {
        Rule::Every(interval) if interval < SHORTEST_INTERVAL || interval > LONGEST_INTERVAL => Err(format!(
            "its interval is {interval:?}: it must be from a second to a year"
        )),
        // Below 2^63 milliseconds by the check above.
        Rule::Every(interval) => Ok(Calendar::Every(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))),
        #[cfg(feature = "cron")]
        Rule::Cron { expression, zone } => {
            super::Cron::parse(&expression, &zone).map(|cron| Calendar::Cron(Box::new(cron)))
        }
        #[cfg(feature = "cron")]
        Rule::ZoneWithoutCron(interval) => Err(format!(
            "an interval ({interval:?}) has no time zone: use `Schedule::cron(…)`, or leave the time zone out"
        )),
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("schedule", &self.schedule)
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SchedulePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchedulePlan")
            .field("name", &self.name)
            .field("terms", &self.terms)
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}
