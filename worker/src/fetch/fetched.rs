//! One fetched job: [`Fetched`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leveret::envelope::{DecodeError, Incoming};
use leveret::{Clock, Job, JobId, RetryPolicy};
use tokio::sync::oneshot;

use super::error::FetchError;
use crate::config::Settings;
use crate::context::{Attempt, Context};
use crate::error;
use crate::outcome::{IntoOutcome, Outcome};
use crate::verdict::{Ended, Verdict, verdict};

/// A job that was fetched. It is this program's until it is settled. Dropped unsettled, it goes back to the queue as if it had never been
/// fetched, and comes again.
#[must_use = "a fetched job that is not settled goes back to the queue"]
pub struct Fetched<J> {
    job: J,
    pulled: Pulled,
}

impl<J: Job> Fetched<J> {
    pub(super) fn new(job: J, pulled: Pulled) -> Self {
        Self { job, pulled }
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &J {
        &self.job
    }

    /// The job's id: the same through all its attempts, so it is what to deduplicate by.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.pulled.attempt.incoming.id
    }

    /// What else is known of this attempt: its number, whether it is the last, headers. Its time limit is only told: nothing here enforces
    /// it. [`Context::cancelled`] resolves when the connection is lost, and with it this job.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::new(Arc::clone(&self.pulled.attempt), None)
    }

    /// Says how the work ended, and waits until the broker has taken in what follows from it. A handler's result is understood as a
    /// worker understands it: `Ok` and `()` mean done; an error means that the job is tried again as its type's policy says, and that it becomes
    /// a dead letter after the last attempt; a [`JobError`](crate::JobError) or an [`Outcome`] may say otherwise.
    ///
    /// Once it was polled, dropping this future changes nothing: the settlement goes on.
    ///
    /// # Errors
    /// [`FetchError`] where [`is_stale`](FetchError::is_stale) says that the connection was lost since the job was fetched: the job will come
    /// again, unless the settlement arrived just before.
    pub async fn settle(self, result: impl IntoOutcome) -> Result<Settled, FetchError> {
        let ended = match result.into_outcome() {
            Outcome::Failed(failure) => Outcome::Failed(error::told(failure)),
            other => other,
        };
        self.pulled.settle(Ended::Returned(ended)).await
    }
}

impl<J: Job> fmt::Debug for Fetched<J> {
    /// Names the job and does not show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("job", &J::NAME)
            .field("id", self.id())
            .field("attempt", &self.pulled.attempt.incoming.attempt)
            .finish_non_exhaustive()
    }
}

/// What became of a fetched job. The broker has taken it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// It is done.
    Done,
    /// It is no longer wanted.
    Cancelled,
    /// Its next attempt is stored.
    Retried,
    /// The same attempt comes again.
    Snoozed,
    /// It is a dead letter.
    DeadLettered,
    /// It is back in the queue as it was, because its next attempt could not be stored there (the queue is full): the attempt does not count.
    Returned,
}

/// What a job type says of every attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) policy: RetryPolicy,
    pub(super) timeout: Duration,
}

impl Terms {
    pub(super) fn of<J: Job>() -> Self {
        Self {
            policy: J::RETRY,
            timeout: J::TIMEOUT.unwrap_or(Settings::default().job_timeout),
        }
    }
}

/// A message that was fetched, before it is known what is in it.
#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) attempt: Arc<Attempt>,
    /// Why it cannot be read, if so.
    pub(super) fault: Option<DecodeError>,
    /// Says whether it has expired.
    pub(super) clock: Clock,
    /// Tells the keeper what shall happen. Dropped, it says: give it back.
    pub(super) decision: oneshot::Sender<Decision>,
}

/// What shall happen to a fetched job.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    pub(super) reply: oneshot::Sender<Result<Settled, FetchError>>,
}

impl Pulled {
    /// The job in it, or why there is none.
    pub(super) fn read<J: Job>(&self) -> Result<J, Ended> {
        if let Some(fault) = &self.fault {
            return Err(Ended::Undecodable(fault.to_string()));
        }
        let name = self.attempt.incoming.name.as_deref();
        if !name.is_some_and(|name| name == J::NAME || J::ALIASES.contains(&name)) {
            let name = name.map(str::to_owned);
            return Err(Ended::OtherType { name, wanted: J::NAME });
        }
        if self.attempt.wanted(|| self.clock.wall()) == Some(Duration::ZERO) {
            return Err(Ended::Expired);
        }
        Incoming::job::<J>(&self.attempt.message.body).map_err(|error| Ended::Undecodable(error.to_string()))
    }

    pub(super) async fn settle(self, ended: Ended) -> Result<Settled, FetchError> {
        let tries = self.attempt.tries(|| self.clock.wall());
        let (reply, answer) = oneshot::channel();
        let decision = Decision {
            verdict: verdict(ended, tries, fastrand::f64()),
            reply,
        };
        let gone = || FetchError::gone(&self.attempt.incoming.id);
        self.decision.send(decision).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
