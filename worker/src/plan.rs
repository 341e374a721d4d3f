//! From what was written on the builder to what a worker runs, with every mistake in it found at once. Pure: no I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leveret::Queue;

use crate::config::{self, DEFAULT_CONCURRENCY, LONG_JOB, MAX_PREFETCH, QueuePlan, QueueSetting, Settings};
use crate::handler::{JobSpec, Registration};
use crate::registry::Registry;
use crate::states::States;

/// No delivery is returned sooner than this for want of a slot, however long its jobs may run: it would come back at once.
const SHORTEST_WAIT: Duration = Duration::from_secs(10);

/// What was written on the builder.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) settings: Settings,
    pub(crate) registrations: Vec<Registration>,
    pub(crate) states: States,
    pub(crate) queues: Vec<QueueSetting>,
    /// Jobs by name whose queue is another than their type's.
    pub(crate) routes: Vec<(&'static str, Queue)>,
    /// What was wrong as soon as it was written.
    pub(crate) problems: Vec<String>,
}

/// What a worker runs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) registry: Arc<Registry>,
    pub(crate) states: Arc<States>,
    /// By name, so that everything that goes through the queues does so in one order.
    pub(crate) queues: Vec<QueuePlan>,
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
    /// Checks everything and makes the plan.
    pub(crate) fn plan(self) -> Result<Plan, BuildError> {
        let mut problems = self.problems;
        let settings = self.settings;
        let mut jobs: Vec<JobSpec> = self.registrations.iter().map(|one| one.job.clone()).collect();
        for (job, queue) in self.routes {
            match jobs.iter_mut().find(|spec| spec.name == job) {
                Some(spec) => spec.queue = queue,
                None => problems.push(format!(
                    "the job `{job}` is routed to the queue `{queue}`, but no handler is registered for it"
                )),
            }
        }
        problems.extend(self.registrations.iter().flat_map(|one| lacking(one, &self.states)));
        problems.extend(jobs.iter().filter_map(|job| too_long(job, &settings)));

        let mut registry = Registry::default();
        for registration in self.registrations {
            problems.extend(registry.add(registration, settings.job_timeout));
        }
        if registry.is_empty() {
            problems.push("no handler is registered: add one with `.register(…)`".to_owned());
        }
        let queues = plan_queues(&jobs, self.queues, &settings, &mut problems);
        if !problems.is_empty() {
            return Err(BuildError { problems });
        }
        Ok(Plan {
            settings,
            registry: Arc::new(registry),
            states: Arc::new(self.states),
            queues,
        })
    }
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
    let (timeout, limit) = (job.timeout.unwrap_or(settings.job_timeout), settings.longest_hold());
    (timeout > limit).then(|| {
        format!(
            "an attempt of `{}` may take {timeout:?}, but the broker takes a job back that is not settled within {:?}: \
             set a timeout of at most {limit:?}, or raise the broker's consumer_timeout and tell the worker with `.consumer_timeout(…)`",
            job.name, settings.consumer_timeout
        )
    })
}

/// One queue while it is pieced together: its definition with who gave it, its jobs, what was set for it.
struct Sketch<'a> {
    queue: &'a Queue,
    source: String,
    longest_timeout: Option<Duration>,
    concurrency: Option<usize>,
    prefetch: Option<u16>,
}

fn plan_queues(
    jobs: &[JobSpec],
    set: Vec<QueueSetting>,
    settings: &Settings,
    problems: &mut Vec<String>,
) -> Vec<QueuePlan> {
    let mut sketches: BTreeMap<&str, Sketch<'_>> = BTreeMap::new();
    let of_jobs = jobs
        .iter()
        .map(|job| (&job.queue, format!("the job `{}`", job.name), Some(job), None));
    let of_settings = set
        .iter()
        .map(|one| (&one.queue, "the builder".to_owned(), None, Some(one)));
    for (queue, source, job, setting) in of_jobs.chain(of_settings) {
        let sketch = sketches.entry(queue.name()).or_insert_with(|| Sketch {
            queue,
            source: source.clone(),
            longest_timeout: None,
            concurrency: None,
            prefetch: None,
        });
        if sketch.queue != queue {
            problems.push(two_definitions(sketch, queue, &source));
        }
        if let Some(job) = job {
            let timeout = job.timeout.unwrap_or(settings.job_timeout);
            sketch.longest_timeout = sketch.longest_timeout.max(Some(timeout));
        }
        if let Some(setting) = setting {
            sketch.concurrency = setting.concurrency.or(sketch.concurrency);
            sketch.prefetch = setting.prefetch.or(sketch.prefetch);
        }
    }
    sketches
        .into_values()
        .filter_map(|sketch| finish(&sketch, settings, problems))
        .collect()
}

fn two_definitions(sketch: &Sketch<'_>, other: &Queue, source: &str) -> String {
    let told = |queue: &Queue| {
        format!(
            "{:?}, delivery limit {}, max length {:?}, dead letters {:?}",
            queue.kind(),
            queue.limit_of_deliveries(),
            queue.limit_of_messages(),
            queue.dead_letter_mode()
        )
    };
    format!(
        "the queue `{}` is defined in two ways: by {} ({}) and by {source} ({}); share one constant",
        other.name(),
        sketch.source,
        told(sketch.queue),
        told(other)
    )
}

fn finish(sketch: &Sketch<'_>, settings: &Settings, problems: &mut Vec<String>) -> Option<QueuePlan> {
    let name = sketch.queue.name();
    let Some(longest_timeout) = sketch.longest_timeout else {
        problems.push(format!(
            "the queue `{name}` is set up but no handler's job goes there: register one, or route one there with `.route::<J>(…)`"
        ));
        return None;
    };
    let concurrency = sketch.concurrency.unwrap_or(DEFAULT_CONCURRENCY);
    if concurrency == 0 || concurrency > usize::from(MAX_PREFETCH) {
        problems.push(format!(
            "the concurrency of the queue `{name}` is {concurrency}: it must be from 1 to {MAX_PREFETCH}"
        ));
        return None;
    }
    let prefetch = sketch
        .prefetch
        .unwrap_or_else(|| config::prefetch(concurrency, longest_timeout));
    if usize::from(prefetch) < concurrency || prefetch > MAX_PREFETCH {
        problems.push(format!(
            "the prefetch of the queue `{name}` is {prefetch}: it must be from its concurrency ({concurrency}) to {MAX_PREFETCH}"
        ));
        return None;
    }
    let longest_hold = settings.longest_hold();
    Some(QueuePlan {
        queue: sketch.queue.clone(),
        concurrency,
        prefetch,
        longest_wait: longest_hold
            .saturating_sub(longest_timeout)
            .clamp(SHORTEST_WAIT, LONG_JOB),
        longest_hold,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::extract::State;
    use crate::fixtures::{Endless, Greet, Part, PartAgain, PartElsewhere};
    use crate::handler::IntoHandler;

    async fn greet(_: Greet, _: Context) {}
    async fn greet_twice(_: Greet) {}
    async fn part(_: Part, _: State<u8>, _: State<u8>) {}
    async fn part_again(_: PartAgain) {}
    async fn part_elsewhere(_: PartElsewhere) {}
    async fn endless(_: Endless) {}

    fn mail() -> Queue {
        Queue::new("mail")
    }

    fn draft(registrations: Vec<Registration>) -> Draft {
        Draft {
            registrations,
            ..Draft::default()
        }
    }

    fn setting(queue: Queue, concurrency: Option<usize>, prefetch: Option<u16>) -> QueueSetting {
        QueueSetting {
            queue,
            concurrency,
            prefetch,
        }
    }

    /// The problems of a draft, of which each must contain the words beside it.
    fn assert_problems(draft: Draft, expected: &[&str]) {
        let problems = draft.plan().expect_err("it has problems").problems;
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, words) in problems.iter().zip(expected) {
            assert!(problem.contains(words), "{words:?} is not in {problem:?}");
        }
    }

    #[test]
    fn a_plan_has_each_queue_once_with_its_limits() {
        let mut draft = draft(vec![greet.into_handler(), part_again.into_handler()]);
        draft.queues.push(setting(mail(), Some(32), None));
        draft.routes.push(("part_again", Queue::new("exits")));

        let plan = draft.plan().expect("nothing is wrong");

        let told: Vec<_> = plan
            .queues
            .iter()
            .map(|one| (one.queue.name(), one.concurrency, one.prefetch))
            .collect();
        assert_eq!(told, [("exits", 10, 10), ("mail", 32, 32)]);
        assert!(plan.registry.find("part").is_some(), "an alias is a name");
    }

    #[test]
    fn a_queue_of_short_jobs_only_has_a_surplus() {
        let mut draft = draft(vec![part.into_handler()]);
        draft.states.put(1u8);
        let plan = draft.plan().expect("nothing is wrong");
        assert_eq!(plan.queues[0].prefetch, 20);
        assert_eq!(plan.queues[0].longest_wait, LONG_JOB);
    }

    #[test]
    fn a_worker_without_handlers_is_refused() {
        assert_problems(Draft::default(), &["no handler is registered"]);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut draft = draft(vec![
            greet.into_handler(),
            greet_twice.into_handler(),
            part.into_handler(),
            part_again.into_handler(),
            part_elsewhere.into_handler(),
            endless.into_handler(),
        ]);
        draft.queues.push(setting(Queue::new("nobody"), Some(1), None));
        draft.routes.push(("stranger", mail()));
        draft.problems.push("the URL is odd".to_owned());

        assert_problems(
            draft,
            &[
                "the URL is odd",
                "`stranger` is routed to the queue `mail`",
                "takes a state of type `u8`",
                "`endless` may take 3600s",
                "`greet` has two handlers",
                "both claim the name `part`",
                "`mail` is defined in two ways: by the job `greet` (Quorum",
                "the queue `nobody` is set up",
            ],
        );
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for (concurrency, prefetch, expected) in [
            (Some(0), None, "is 0: it must be from 1 to 2000"),
            (Some(2_001), None, "is 2001: it must be from 1 to 2000"),
            (Some(5), Some(4), "is 4: it must be from its concurrency (5) to 2000"),
            (None, Some(2_001), "is 2001"),
        ] {
            let mut draft = draft(vec![greet.into_handler()]);
            draft.queues.push(setting(mail(), concurrency, prefetch));
            assert_problems(draft, &[expected]);
        }
    }

    #[test]
    fn a_short_consumer_timeout_meets_the_default_job_timeout() {
        let mut draft = draft(vec![greet.into_handler()]);
        draft.settings.consumer_timeout = Duration::from_secs(600);
        assert_problems(draft, &["`greet` may take 1500s"]);
    }

    #[test]
    fn the_error_lists_its_problems() {
        let error = Draft::default().plan().expect_err("no handler");
        assert_eq!(
            error.to_string(),
            format!("the worker cannot be built\n  - {}", error.problems()[0])
        );
    }
}
