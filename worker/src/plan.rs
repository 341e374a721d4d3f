//! From what was written on the builder to what a worker runs, with every mistake in it found at once. Pure: no I/O.

mod queues;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use leveret::{Job, Queue, Rabbit};

use crate::attempt::pipeline::Pipeline;
use crate::blocking::Threads;
use crate::config::{QueuePlan, QueueSetting, Settings};
use crate::handler::{JobSpec, Registration};
use crate::middleware::Middlewares;
use crate::registry::Registry;
use crate::schedule::{self, SchedulePlan, plan_schedules};
use crate::states::States;
use crate::terms::TermsDraft;
use queues::plan_queues;

/// What was written on the builder.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) settings: Settings,
    pub(crate) registrations: Vec<Registration>,
    pub(crate) middlewares: Middlewares,
    pub(crate) states: States,
    pub(crate) queues: Vec<QueueSetting>,
    /// What follows a failure.
    pub(crate) terms: TermsDraft,
    /// Jobs whose queue is another than their type's.
    pub(crate) routes: Vec<Route>,
    pub(crate) schedules: Vec<schedule::Draft>,
    /// What was wrong as soon as it was written.
    pub(crate) problems: Vec<String>,
}

/// A job type that is consumed from another queue than its own.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) job: &'static str,
    pub(crate) queue: Queue,
    /// Has producers send it there too. The job's type is in the function.
    pub(crate) of_producers: fn(Rabbit, Queue) -> Rabbit,
}

impl Route {
    pub(crate) fn of<J: Job>(queue: Queue) -> Self {
        Self {
            job: J::NAME,
            queue,
            of_producers: Rabbit::route::<J>,
        }
    }
}

/// What a worker runs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) registry: Arc<Registry>,
    pub(crate) states: Arc<States>,
    pub(crate) routes: Vec<Route>,
    /// By name, so that everything that goes through the queues does so in one order.
    pub(crate) queues: Vec<QueuePlan>,
    pub(crate) schedules: Vec<SchedulePlan>,
}

/// Why a worker cannot be built: one sentence per problem, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    problems: Vec<String>,
}

impl BuildError {
    /// The problems, at least one.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The same, with one more problem ahead of the others.
    pub(crate) fn after(mut self, problem: String) -> Self {
        self.problems.insert(0, problem);
        self
    }
}

impl From<Vec<String>> for BuildError {
    fn from(problems: Vec<String>) -> Self {
        Self { problems }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the worker cannot be built")?;
        for problem in &self.problems {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

impl Draft {
    /// The jobs that are handled, each with the queue that it is consumed from.
    fn routed(&self, problems: &mut Vec<String>) -> Vec<JobSpec> {
        let mut jobs: Vec<JobSpec> = self.registrations.iter().map(|one| one.job.clone()).collect();
        for Route { job, queue, .. } in &self.routes {
            let is_scheduled = self.schedules.iter().any(|schedule| schedule.job() == *job);
            match jobs.iter_mut().find(|spec| spec.name == *job) {
                Some(spec) => spec.queue = queue.clone(),
                None if is_scheduled => {}
                None => problems.push(format!(
                    "the job `{job}` is routed to the queue `{queue}`, but no handler is registered for it"
                )),
            }
        }
        jobs
    }

    /// Checks everything and makes the plan.
    pub(crate) fn plan(mut self) -> Result<Plan, BuildError> {
        let mut problems = std::mem::take(&mut self.problems);
        let jobs = self.routed(&mut problems);
        let settings = self.settings;
        problems.extend(self.registrations.iter().flat_map(|one| lacking(one, &self.states)));
        problems.extend(self.terms.problems(&jobs));
        problems.extend(jobs.iter().filter_map(|job| too_long(job, &settings)));
        problems.extend(self.middlewares.jobs().filter_map(|job| around_nothing(job, &jobs)));
        let schedules = plan_schedules(self.schedules, &self.routes, &mut problems);
        let mut of_queues = Vec::new();
        let queues = plan_queues(&jobs, self.queues, &settings, &mut of_queues);
        let threads = threads(&jobs, &queues, &settings, &mut of_queues);

        let mut registry = Registry::default();
        for (Registration { job, run, .. }, routed) in self.registrations.into_iter().zip(&jobs) {
            let terms = self.terms.terms(routed);
            let pipeline = Pipeline {
                middlewares: self.middlewares.of(job.name),
                run,
                threads: job.blocking.then(|| threads.clone()),
            };
            problems.extend(registry.add(&job, pipeline, terms, routed.timeout_in(&settings)));
        }
        if registry.is_empty() {
            problems.push("no handler is registered: add one with `.register(…)`".to_owned());
        }
        problems.append(&mut of_queues);
        if !problems.is_empty() {
            return Err(BuildError { problems });
        }
        Ok(Plan {
            settings,
            registry: Arc::new(registry),
            states: Arc::new(self.states),
            routes: self.routes,
            queues,
            schedules,
        })
    }
}

fn around_nothing(job: &str, jobs: &[JobSpec]) -> Option<String> {
    let missing = jobs.iter().all(|spec| spec.name != job);
    missing.then(|| format!("the job `{job}` has a middleware, but no handler is registered for it"))
}

/// The threads of the blocking handlers: as many as are set, or one for each slot of their queues, so that none of them has to wait.
fn threads(jobs: &[JobSpec], queues: &[QueuePlan], settings: &Settings, problems: &mut Vec<String>) -> Threads {
    if settings.blocking_threads == Some(0) {
        problems.push("blocking handlers need a thread at least: `.blocking_threads(…)` must be from 1".to_owned());
    }
    let blocks = |queue: &&QueuePlan| {
        jobs.iter()
            .any(|job| job.blocking && job.queue.name() == queue.queue.name())
    };
    let slots = queues.iter().filter(blocks).map(|queue| queue.concurrency).sum();
    Threads::new(settings.blocking_threads.unwrap_or(slots))
}

fn lacking(registration: &Registration, states: &States) -> Vec<String> {
    let job = registration.job.name;
    let sentence = |state| {
        format!(
            "the handler of `{job}` takes a state of type `{state}`, which the worker lacks: add it with `.state(…)`"
        )
    };
    states
        .lacking(&registration.requirements)
        .into_iter()
        .map(sentence)
        .collect()
}

fn too_long(job: &JobSpec, settings: &Settings) -> Option<String> {
    let (timeout, limit) = (job.timeout_in(settings), settings.longest_hold());
    (timeout > limit).then(|| {
        format!(
            "an attempt of `{}` may take {timeout:?}, but the broker takes a job back that is not settled within {:?}: \
             set a timeout of at most {limit:?}, or raise the broker's consumer_timeout and tell the worker with `.consumer_timeout(…)`",
            job.name, settings.consumer_timeout
        )
    })
}
