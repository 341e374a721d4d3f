//! What the builder is told about failures. Which of several settings holds: `terms/precedence.rs`.

use std::error::Error;
use std::sync::Arc;

use leveret::{Job, Queue, RetryPolicy};

use super::WorkerBuilder;
use crate::retry::{FailedAttempt, Retry};
use crate::terms::{Interruption, Rule};

/// # How failed jobs are tried again
///
/// By default as their type says. Where several of these are set, the more particular one holds: what the job's payload says
/// ([`retry_by`](Self::retry_by), [`Handler::retry_policy`](crate::Handler::retry_policy)), then [`retry_for`](Self::retry_for) its
/// type, then [`retry_on`](Self::retry_on) its queue, then [`retry`](Self::retry) in this worker, then the type itself. Over all of them win the
/// number of attempts that a producer set for one job, a rule about the error ([`retry_if`](Self::retry_if)), and over that what
/// the error itself asks for ([`JobError`](crate::JobError)).
///
/// ```
/// # use leveret::{Backoff, Job, Jitter, Queue, RetryPolicy};
/// # use leveret_worker::{Retry, Worker};
/// # use std::time::Duration;
/// # const MAIL: Queue = Queue::new("mail");
/// # #[derive(serde::Serialize, serde::Deserialize, Job)]
/// # #[job(queue = MAIL, timeout = "30s")]
/// # struct SendWelcome { user_id: u64, urgent: bool }
/// # #[derive(Debug)]
/// # struct MailError { temporary: bool }
/// # impl MailError { fn is_temporary(&self) -> bool { self.temporary } }
/// # impl std::fmt::Display for MailError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("mail") } }
/// # impl std::error::Error for MailError {}
/// # async fn send_welcome(_: SendWelcome) -> Result<(), MailError> { Ok(()) }
/// let attempts = 12; // from the settings of this deployment
/// let patient = RetryPolicy::new(attempts, Backoff::list(&["5s", "1m", "15m"]).with_jitter(Jitter::Equal));
///
/// let worker = Worker::builder("memory://")
///     .register(send_welcome)
///     .retry_on(&MAIL, patient)
///     .retry_by(move |job: &SendWelcome| match job.urgent {
///         true => RetryPolicy::new(100, Backoff::fixed("1s")),
///         false => patient,
///     })
///     .retry_if(|error: &MailError| error.is_temporary()) // the others become dead letters at once
///     .build()?;
/// # Ok::<(), leveret_worker::BuildError>(())
/// ```
impl WorkerBuilder {
    /// How often and with which pauses this worker tries jobs again, whatever their types say.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.draft.terms.worker = Some(policy);
        self
    }

    /// The same for the jobs that are consumed from one queue.
    pub fn retry_on(mut self, queue: &Queue, policy: RetryPolicy) -> Self {
        self.draft.terms.queues.push((queue.clone(), policy));
        self
    }

    /// The same for one job type.
    pub fn retry_for<J: Job>(mut self, policy: RetryPolicy) -> Self {
        self.draft.terms.jobs.push((J::NAME, policy));
        self
    }

    /// The same for each single job of a type, by what is in it. It is asked before the handler runs, and it may panic as a handler may.
    pub fn retry_by<J: Job>(mut self, policy: impl Fn(&J) -> RetryPolicy + Send + Sync + 'static) -> Self {
        self.draft.terms.by_payload(policy);
        self
    }

    /// Whether a failure with an error of type `E` is worth another attempt: a `bool`, or a [`Retry`] that says more. It is asked
    /// about every job of this worker whose error is an `E` or has one among its sources, however it was boxed
    /// ([`FailedAttempt::error`]). `false` makes a dead letter at once, with the reason `rejected`.
    ///
    /// Rules are asked in the order in which they are added; the first that fits counts.
    ///
    /// ```
    /// # use leveret_worker::{Retry, Worker};
    /// # use std::time::Duration;
    /// # #[derive(Debug)]
    /// # enum ApiError { Busy { retry_after: Duration }, Refused, Unreachable }
    /// # impl std::fmt::Display for ApiError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("api") } }
    /// # impl std::error::Error for ApiError {}
    /// let builder = Worker::builder("memory://").retry_if(|error: &ApiError| match error {
    ///     ApiError::Busy { retry_after } => Retry::After(*retry_after),
    ///     ApiError::Refused => Retry::Never,
    ///     ApiError::Unreachable => Retry::ByPolicy,
    /// });
    /// ```
    pub fn retry_if<E, R>(self, rule: impl Fn(&E) -> R + Send + Sync + 'static) -> Self
    where
        E: Error + 'static,
        R: Into<Retry>,
    {
        self.retry_rule(move |failed| failed.error::<E>().map(|error| rule(error).into()))
    }

    /// The same for one job type; asked before the rules for all jobs: `.retry_if_for::<SendWelcome, _, _>(|error: &MailError| …)`.
    pub fn retry_if_for<J, E, R>(self, rule: impl Fn(&E) -> R + Send + Sync + 'static) -> Self
    where
        J: Job,
        E: Error + 'static,
        R: Into<Retry>,
    {
        self.retry_rule_for::<J>(move |failed| failed.error::<E>().map(|error| rule(error).into()))
    }

    /// A rule about failures of every kind, panics and timeouts among them, that sees the attempt and the class of the error. `None`: it says
    /// nothing of this one.
    ///
    /// ```
    /// # use leveret_worker::{ErrorClass, Retry, Worker};
    /// let builder = Worker::builder("memory://").retry_rule(|failed| match failed.class() {
    ///     ErrorClass::Panicked => Some(Retry::Never),
    ///     ErrorClass::TimedOut if failed.attempt() >= 2 => Some(Retry::Never),
    ///     _ => None,
    /// });
    /// ```
    pub fn retry_rule(mut self, rule: impl Fn(&FailedAttempt<'_>) -> Option<Retry> + Send + Sync + 'static) -> Self {
        self.draft.terms.rules.push((None, Arc::new(rule) as Rule));
        self
    }

    /// The same for one job type; asked before the rules for all jobs.
    pub fn retry_rule_for<J: Job>(
        mut self,
        rule: impl Fn(&FailedAttempt<'_>) -> Option<Retry> + Send + Sync + 'static,
    ) -> Self {
        self.draft.terms.rules.push((Some(J::NAME), Arc::new(rule) as Rule));
        self
    }

    /// What happens to the running handlers of one job type when the lease of their job is lost, or the worker shuts down: see [`Interruption`].
    pub fn interruption<J: Job>(mut self, interruption: Interruption) -> Self {
        self.draft.terms.interruptions.push((J::NAME, interruption));
        self
    }
}
