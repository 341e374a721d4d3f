//! What a handler can ask about its attempt: [`Context`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leveret::envelope::{History, Incoming, headers};
use leveret::{HeaderValue, JobId, Message, Producer};

use crate::blocking::Seat;
use crate::cancellation::{Cause, Switch};
use crate::states::States;
use crate::terms::Retrying;
use crate::verdict::Tries;

/// The attempt that a handler runs: which job, which try, and whether to stop. Cheap to clone; take it as an argument after the job.
#[derive(Clone)]
pub struct Context {
    attempt: Arc<Attempt>,
    /// For a handler that blocks.
    seat: Option<Arc<Seat>>,
    /// For a service that is given nothing but the context.
    #[cfg(feature = "tower")]
    pub(crate) next: Option<crate::middleware::Next>,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("incoming", &self.incoming)
            .finish_non_exhaustive()
    }
}

/// One attempt: the message with what was read from it, and the limits that hold for it. The dispatcher keeps it until the job is
/// settled, because the successor of a message is made from the message.
pub(crate) struct Attempt {
    pub(crate) message: Message,
    pub(crate) incoming: Incoming,
    pub(crate) redelivered: bool,
    pub(crate) timeout: Duration,
    pub(crate) retrying: Retrying,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) switch: Switch,
}

impl Attempt {
    /// Another run on the same delivery. To the broker it is the same message, so it keeps its hop; and to the handler it is one
    /// that was delivered before. `history` is what its successor would have brought.
    pub(crate) fn again(&self, failed_attempts: u32, longest: Duration, history: Option<HeaderValue>) -> Self {
        let mut message = self.message.clone();
        if let Some(history) = history {
            message.properties.headers.insert(headers::HISTORY.to_owned(), history);
        }
        let mut incoming = self.incoming.clone();
        incoming.attempt = incoming.attempt.saturating_add(failed_attempts);
        Self {
            message,
            incoming,
            redelivered: true,
            timeout: self.timeout.min(longest),
            retrying: Retrying::new(Arc::clone(&self.retrying.terms)),
            surroundings: self.surroundings.clone(),
            switch: Switch::default(),
        }
    }

    /// How many runs the job gets in all, as far as that is known before one has failed.
    pub(crate) fn max_attempts(&self) -> u32 {
        let set = self.incoming.max_attempts;
        set.unwrap_or_else(|| self.retrying.policy().max_attempts())
    }

    /// How long the job is still wanted; `None`: for ever. Zero: it has expired. The clock is read only for a job that expires.
    pub(crate) fn wanted(&self, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
        let expires = self.incoming.expires?;
        Some(expires.duration_since(now()).unwrap_or_default())
    }

    /// Where the job stands when this attempt ends.
    pub(crate) fn tries(&self, now: impl FnOnce() -> SystemTime) -> Tries {
        Tries {
            attempt: self.incoming.attempt,
            max_attempts: self.incoming.max_attempts,
            policy: self.retrying.policy(),
            rule: self.retrying.rule(),
            wanted: self.wanted(now),
        }
    }
}

/// What all attempts of one queue share.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) queue: String,
    pub(crate) worker: String,
    pub(crate) states: Arc<States>,
    /// For handlers that enqueue. `None` where a handler is run without a worker.
    pub(crate) producer: Option<Producer>,
}

impl Context {
    pub(crate) fn new(attempt: Arc<Attempt>, seat: Option<Arc<Seat>>) -> Self {
        Self {
            attempt,
            seat,
            #[cfg(feature = "tower")]
            next: None,
        }
    }

    pub(crate) fn attempt_handle(&self) -> Arc<Attempt> {
        self.attempt.clone()
    }

    pub(crate) fn seat(&self) -> Option<&Arc<Seat>> {
        self.seat.as_ref()
    }

    /// The attempt's time is up, and what runs it cannot be stopped.
    pub(crate) fn expire(&self) {
        self.attempt.switch.fire(Cause::TimedOut);
    }

    /// What holds for the job, now that it is known. This runs the application's code.
    pub(crate) fn meet<J: leveret::Job>(&self, job: &J, of_handler: Option<leveret::RetryPolicy>) {
        self.attempt.retrying.meet(job, of_handler);
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.attempt.message.body
    }

    pub(crate) fn states(&self) -> &States {
        &self.attempt.surroundings.states
    }

    pub(crate) fn producer(&self) -> Option<&Producer> {
        self.attempt.surroundings.producer.as_ref()
    }

    /// The job's id: the same through all its attempts, so it is what to deduplicate by.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.attempt.incoming.id
    }

    /// The name under which the job travelled: its type's name or one of its aliases.
    #[must_use]
    pub fn job_name(&self) -> &str {
        self.attempt.incoming.name.as_deref().unwrap_or_default()
    }

    /// The queue that the job came from.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.attempt.surroundings.queue
    }

    /// The name of the worker that runs it.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.attempt.surroundings.worker
    }

    /// Which run of the job this is; the first is 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt.incoming.attempt
    }

    /// How many runs the job gets in all: the number set when it was enqueued, or the one of the [policy](crate::WorkerBuilder::retry)
    /// that holds for it.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.attempt.max_attempts()
    }

    /// Whether a failure of this run makes a dead letter, unless a rule says otherwise: one that answers with a policy of more attempts
    /// ([`Retry::With`](crate::Retry::With)) makes a retry of it.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.max_attempts()
    }

    /// How long this attempt may run.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.attempt.timeout
    }

    /// Whether the broker has delivered this message before: an earlier run may have begun and not ended.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.attempt.redelivered
    }

    /// The id that links this job to others, as set by whoever enqueued it.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.attempt.message.properties.correlation_id.as_deref()
    }

    /// A header of the message.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.attempt.message.properties.headers.get(name)
    }

    /// The failed attempts before this one: why, when, and in which worker.
    ///
    /// ```
    /// # use leveret_worker::Context;
    /// fn has_run_out_of_memory_before(context: &Context) -> bool {
    ///     context.history().attempts().iter().any(|past| past.error.contains("out of memory"))
    /// }
    /// ```
    #[must_use]
    pub fn history(&self) -> History {
        History::read(&self.attempt.message)
    }

    /// Until when the job is wanted, where its producer or its type says so. An attempt that has begun may go on.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.attempt.incoming.expires
    }

    /// When the job was made, to the second, where its producer said so.
    #[must_use]
    pub fn enqueued_at(&self) -> Option<SystemTime> {
        let seconds = self.attempt.message.properties.timestamp?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// Why this handler should stop, if it should. After a cause other than [`Cause::TimedOut`] was seen here or through
    /// [`Context::cancelled`], an `Err` of this handler is an interruption and spends no attempt.
    #[must_use]
    pub fn cancellation(&self) -> Option<Cause> {
        self.attempt.switch.look()
    }

    /// Whether this handler should stop; for loops in blocking handlers. Like [`Context::cancellation`], without the cause.
    ///
    /// ```
    /// # use leveret_worker::Context;
    /// # struct Page;
    /// # fn render(_: &Page) {}
    /// fn render_all(pages: &[Page], context: &Context) -> Result<(), &'static str> {
    ///     for page in pages {
    ///         if context.is_cancelled() {
    ///             return Err("stopped");
    ///         }
    ///         render(page);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancellation().is_some()
    }

    /// Waits until this handler should stop; for long jobs, to race against the work. Nothing stops by itself: a
    /// handler that ignores it runs on.
    ///
    /// ```
    /// # use leveret_worker::Context;
    /// # async fn next_page() -> Result<bool, std::io::Error> { Ok(false) }
    /// async fn crawl(context: &Context) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     loop {
    ///         tokio::select! {
    ///             cause = context.cancelled() => return Err(format!("stopped: {cause:?}").into()),
    ///             more = next_page() => if !more? { return Ok(()) },
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn cancelled(&self) -> Cause {
        self.attempt.switch.fired().await
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", self.id())
            .field("job_name", &self.job_name())
            .field("queue", &self.queue())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
