//! What one worker does about the failures of one job type: [`Terms`]; and what that comes to in one attempt: [`Retrying`].

mod precedence;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use leveret::RetryPolicy;

use crate::retry::{FailedAttempt, Retry};
pub(crate) use precedence::TermsDraft;

/// What is asked of a job before it runs. The value is the job.
pub(crate) type ByPayload = Arc<dyn Fn(&dyn Any) -> Option<RetryPolicy> + Send + Sync>;

/// What is asked of a failure.
pub(crate) type Rule = Arc<dyn Fn(&FailedAttempt<'_>) -> Option<Retry> + Send + Sync>;

/// What happens to a handler that is asked to stop: because the lease of its job was lost or is in doubt, or because the worker shuts down. In no case does it cost
/// an attempt. Set with [`WorkerBuilder::interruption`](crate::WorkerBuilder::interruption).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Interruption {
    /// It is told (by its [`Context`](crate::Context)) and goes on. Without its lease it runs to its end, and if the job is delivered to this
    /// process again meanwhile, that joins it. At a shutdown it has the worker's grace; then it is dropped, and its job runs again elsewhere.
    #[default]
    Grace,
    /// It is dropped as soon as it is asked to stop, at its next `await`. For long jobs that are cheap to begin again, and for those that
    /// must not run beside another run of themselves. A thread of a blocking handler cannot be dropped: it is told.
    Cancel,
    /// It is told and goes on to its end: a shutdown waits for it beyond the grace, up to its time limit. Only a second signal ends it. For jobs
    /// that cannot be begun again; give the process as much time before it is killed.
    Finish,
}

/// What holds for one job type in one worker.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    /// What was set for the type here, for its queue, for the worker, or by the type itself.
    pub(crate) policy: RetryPolicy,
    pub(crate) by_payload: Option<ByPayload>,
    /// In the order in which they are asked.
    pub(crate) rules: Vec<Rule>,
    pub(crate) interruption: Interruption,
}

impl Terms {
    pub(crate) fn of(policy: RetryPolicy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("policy", &self.policy)
            .field("interruption", &self.interruption)
            .finish_non_exhaustive()
    }
}

/// The terms of one attempt, and what was learnt by them. The handler's side writes, whoever decides reads.
#[derive(Debug, Default)]
pub(crate) struct Retrying {
    pub(crate) terms: Arc<Terms>,
    /// Told by the job itself.
    payload: OnceLock<RetryPolicy>,
    /// What the rules said of the failure, once they were asked.
    judged: OnceLock<Option<Retry>>,
}

impl Retrying {
    pub(crate) fn new(terms: Arc<Terms>) -> Self {
        Self {
            terms,
            payload: OnceLock::new(),
            judged: OnceLock::new(),
        }
    }

    /// The job is known. What the builder was given for its type wins over what its handler says.
    pub(crate) fn meet(&self, job: &dyn Any, of_handler: Option<RetryPolicy>) {
        let of_builder = self.terms.by_payload.as_ref().and_then(|policy| policy(job));
        if let Some(policy) = of_builder.or(of_handler) {
            // A middleware may run its handler twice, on the same job.
            let _ = self.payload.set(policy);
        }
    }

    /// The policy that holds where no rule says otherwise.
    pub(crate) fn policy(&self) -> RetryPolicy {
        self.payload.get().copied().unwrap_or(self.terms.policy)
    }

    /// Asks the rules about a failure, once. This runs the application's code: it may panic.
    pub(crate) fn judge(&self, attempt: u32, error: &(dyn Error + 'static)) {
        if self.is_judged() {
            return;
        }
        let Some(failed) = FailedAttempt::new(attempt, error) else {
            return;
        };
        let said = self.terms.rules.iter().find_map(|rule| rule(&failed));
        let _ = self.judged.set(said);
    }

    pub(crate) fn is_judged(&self) -> bool {
        self.judged.get().is_some()
    }

    /// What the rules said.
    pub(crate) fn rule(&self) -> Option<Retry> {
        self.judged.get().copied().flatten()
    }
}
