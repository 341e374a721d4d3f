//! Which of several retry policies holds. This is the one place where it is decided.
//!
//! From the strongest to the weakest:
//!
//! 1. what the error asks for: [`JobError::reject`](crate::JobError::reject), [`JobError::retry_in`](crate::JobError::retry_in)
//! 2. what a rule says of the failure: those for the job type, then those for all jobs
//! 3. what the producer set for this one job (`max_attempts`): the number of attempts
//! 4. what the payload says: `retry_by`, then `Handler::retry_policy`
//! 5. `retry_for`: the job type, in this worker
//! 6. `retry_on`: the queue that it is consumed from, in this worker
//! 7. `retry`: all jobs of this worker
//! 8. the job type itself: `#[job(max_attempts = …, backoff = …)]`
//!
//! The number that a producer set (3) also limits the policy of a rule (2, `Retry::With`), which then gives the waits. 4 to 8 are resolved here
//! and in [`Retrying`](super::Retrying), 1 to 3 in the [verdict](crate::verdict).

use std::any::Any;
use std::sync::Arc;

use leveret::{Job, Queue, RetryPolicy};

use super::{ByPayload, Interruption, Rule, Terms};
use crate::handler::JobSpec;

/// What was written on the builder about failures. Of two settings of the same, the later holds.
#[derive(Default)]
pub(crate) struct TermsDraft {
    pub(crate) worker: Option<RetryPolicy>,
    pub(crate) queues: Vec<(Queue, RetryPolicy)>,
    pub(crate) jobs: Vec<(&'static str, RetryPolicy)>,
    pub(crate) by_payload: Vec<(&'static str, ByPayload)>,
    /// Those of one job type, and those for all.
    pub(crate) rules: Vec<(Option<&'static str>, Rule)>,
    pub(crate) interruptions: Vec<(&'static str, Interruption)>,
}

impl std::fmt::Debug for TermsDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TermsDraft")
            .field("worker", &self.worker)
            .field("queues", &self.queues)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

impl TermsDraft {
    /// Asks the payload of the jobs of type `J`.
    pub(crate) fn by_payload<J: Job>(&mut self, policy: impl Fn(&J) -> RetryPolicy + Send + Sync + 'static) {
        let asked = move |job: &dyn Any| job.downcast_ref::<J>().map(&policy);
        self.by_payload.push((J::NAME, Arc::new(asked)));
    }

    /// What holds for a job; its queue is the one that it is consumed from.
    pub(crate) fn terms(&self, job: &JobSpec) -> Terms {
        let of_job = last(&self.jobs, |name| *name == job.name);
        let of_queue = last(&self.queues, |queue| queue.name() == job.queue.name());
        let rules = |of: Option<&'static str>| {
            let rules = self.rules.iter().filter(move |(job, _)| *job == of);
            rules.map(|(_, rule)| Arc::clone(rule))
        };
        Terms {
            policy: of_job.or(of_queue).copied().or(self.worker).unwrap_or(job.retry),
            by_payload: last(&self.by_payload, |name| *name == job.name).cloned(),
            rules: rules(Some(job.name)).chain(rules(None)).collect(),
            interruption: last(&self.interruptions, |name| *name == job.name)
                .copied()
                .unwrap_or_default(),
        }
    }

    /// What is set for jobs and queues that the worker has not.
    pub(crate) fn problems(&self, jobs: &[JobSpec]) -> Vec<String> {
        let of_jobs = (self.jobs.iter().map(|(job, _)| *job))
            .chain(self.by_payload.iter().map(|(job, _)| *job))
            .chain(self.rules.iter().filter_map(|(job, _)| *job))
            .chain(self.interruptions.iter().map(|(job, _)| *job));
        let strangers = of_jobs.filter(|job| jobs.iter().all(|spec| spec.name != *job));
        let strangers = strangers.map(|job| {
            format!("it is set how the job `{job}` is tried again or interrupted, but no handler is registered for it")
        });
        let nobodys = self.queues.iter().map(|(queue, _)| queue.name());
        let nobodys = nobodys.filter(|queue| jobs.iter().all(|spec| spec.queue.name() != *queue));
        let nobodys = nobodys.map(|queue| {
            format!("it is set how jobs of the queue `{queue}` are tried again, but no handler's job goes there")
        });
        let mut problems: Vec<String> = strangers.chain(nobodys).collect();
        problems.dedup();
        problems
    }
}

/// The last that was set.
fn last<K, V>(all: &[(K, V)], matches: impl Fn(&K) -> bool) -> Option<&V> {
    all.iter().rev().find(|(key, _)| matches(key)).map(|(_, value)| value)
}
