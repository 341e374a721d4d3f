//! One handler on one job, without a worker: [`run`].

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, SystemTime};

use leveret::testing::TestBroker;
use leveret::{Envelope, EnvelopeError, HeaderValue, Job, JobId, Queue, RetryPolicy};

use super::ran::Ran;
use crate::blocking::IntoBlockingHandler;
use crate::cancellation::Cause;
use crate::config::Settings;
use crate::handler::{ByType, Handler, IntoHandler, Registration};
use crate::middleware::Middleware;
use crate::retry::{FailedAttempt, Retry};
use crate::states::States;
use crate::terms::{Interruption, TermsDraft};

/// Runs a handler on a job as a worker would: the job goes through JSON, extractors are made, the time limit holds, a panic is
/// caught, and what the handler returns is judged by the job's retry policy. There is no broker, unless one is given.
///
/// ```
/// use leveret::Job;
/// use leveret_worker::testing::{self, Verdict};
/// use leveret_worker::{Context, State};
/// # use serde::{Deserialize, Serialize};
///
/// # #[derive(Serialize, Deserialize, Job)]
/// # #[job(queue = "mail", max_attempts = 3)]
/// # struct SendWelcome { user_id: u64 }
/// async fn send_welcome(job: SendWelcome, State(known): State<Vec<u64>>, context: Context) -> Result<(), String> {
///     match known.contains(&job.user_id) {
///         true => Ok(()),
///         false => Err(format!("no user {} (attempt {})", job.user_id, context.attempt())),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// testing::run(send_welcome, SendWelcome { user_id: 7 }).state(vec![7_u64]).await.assert_done();
///
/// let ran = testing::run(send_welcome, SendWelcome { user_id: 8 }).state(vec![7_u64]).attempt(3).await;
/// let error = "no user 8 (attempt 3)".to_owned();
/// assert_eq!(*ran.verdict(), Verdict::DeadLetter { reason: "failed", error });
/// # }
/// ```
pub fn run<M, H: IntoHandler<M>>(handler: H, job: H::Job) -> Run {
    Run::new(handler.into_handler(), job)
}

/// The same for a type that implements [`Handler`] for several jobs.
pub fn run_for<J: Job>(handler: impl Handler<J>, job: J) -> Run {
    Run::new(IntoHandler::<ByType<J>>::into_handler(handler), job)
}

/// The same for a handler that blocks; see [`WorkerBuilder::register_blocking`](crate::WorkerBuilder::register_blocking).
pub fn run_blocking<M, H: IntoBlockingHandler<M>>(handler: H, job: H::Job) -> Run {
    Run::new(handler.into_blocking_handler(), job)
}

/// A handler about to be run on a job; await it for what comes of it.
#[must_use = "nothing is run until this is awaited"]
pub struct Run {
    pub(super) registration: Registration,
    pub(super) envelope: Result<Envelope, EnvelopeError>,
    pub(super) states: States,
    /// What was wrong as soon as it was written.
    pub(super) problems: Vec<String>,
    pub(super) broker: Option<TestBroker>,
    pub(super) middlewares: Vec<Arc<dyn Middleware>>,
    pub(super) terms: TermsDraft,
    pub(super) circumstances: Circumstances,
}

/// What a handler finds that does not travel with its job.
pub(super) struct Circumstances {
    pub(super) attempt: u32,
    pub(super) redelivered: bool,
    pub(super) worker: String,
    pub(super) stop: Option<(Duration, Cause)>,
}

impl Run {
    fn new(registration: Registration, job: impl Job) -> Self {
        Self {
            registration,
            envelope: Envelope::new(job),
            states: States::default(),
            problems: Vec::new(),
            broker: None,
            middlewares: Vec::new(),
            terms: TermsDraft::default(),
            circumstances: Circumstances {
                attempt: 1,
                redelivered: false,
                worker: Settings::default().name,
                stop: None,
            },
        }
    }

    fn map(mut self, change: impl FnOnce(Envelope) -> Result<Envelope, EnvelopeError>) -> Self {
        self.envelope = self.envelope.and_then(change);
        self
    }

    /// Gives the handler a value, which it takes as [`State<T>`](crate::State). One value per type.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        if !self.states.put(value) {
            self.problems
                .push(format!("there are two states of type `{}`", std::any::type_name::<T>()));
        }
        self
    }

    /// Gives the handler a [`Producer`](leveret::Producer) to this broker; what it enqueues is there when the run is over. Without a
    /// broker an attempt fails that takes a producer.
    pub fn broker(mut self, broker: &TestBroker) -> Self {
        self.broker = Some(broker.clone());
        self
    }

    /// Puts a middleware around the attempt, inside those that it has.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middlewares.push(Arc::new(middleware));
        self
    }

    /// The policy that holds for the job, as [`WorkerBuilder::retry`](crate::WorkerBuilder::retry) would set it.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.terms.worker = Some(policy);
        self
    }

    /// The policy by what is in the job, as [`WorkerBuilder::retry_by`](crate::WorkerBuilder::retry_by) would set it.
    pub fn retry_by<J: Job>(mut self, policy: impl Fn(&J) -> RetryPolicy + Send + Sync + 'static) -> Self {
        self.terms.by_payload(policy);
        self
    }

    /// A rule about errors of one type, as [`WorkerBuilder::retry_if`](crate::WorkerBuilder::retry_if) would add it.
    pub fn retry_if<E, R>(self, rule: impl Fn(&E) -> R + Send + Sync + 'static) -> Self
    where
        E: std::error::Error + 'static,
        R: Into<Retry>,
    {
        self.retry_rule(move |failed| failed.error::<E>().map(|error| rule(error).into()))
    }

    /// A rule about failures, as [`WorkerBuilder::retry_rule`](crate::WorkerBuilder::retry_rule) would add it.
    pub fn retry_rule(mut self, rule: impl Fn(&FailedAttempt<'_>) -> Option<Retry> + Send + Sync + 'static) -> Self {
        self.terms.rules.push((None, Arc::new(rule)));
        self
    }

    /// What happens to the handler when it is asked to stop; see [`stop_after`](Self::stop_after).
    pub fn interruption(mut self, interruption: Interruption) -> Self {
        self.terms
            .interruptions
            .push((self.registration.job.name, interruption));
        self
    }

    /// How long the job is still wanted, as if set when it was enqueued; zero: it has expired, and the handler is not run.
    pub fn expires_in(self, time: Duration) -> Self {
        self.map(|envelope| Ok(envelope.with_expiry(SystemTime::now() + time)))
    }

    /// Which attempt it is. The first (1) unless set.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.circumstances.attempt = attempt.max(1);
        self
    }

    /// How many attempts the job gets, as if set when it was enqueued. Its type's number unless set.
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.map(|envelope| Ok(envelope.with_max_attempts(attempts)))
    }

    /// How long the attempt may run, as if set when the job was enqueued. Its type's limit unless set, or 25 minutes.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|envelope| Ok(envelope.with_timeout(timeout)))
    }

    /// The job's id; a new one unless set.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.map(|envelope| match JobId::new(id) {
            Ok(id) => Ok(envelope.with_id(id)),
            Err(reason) => Err(EnvelopeError::JobId { reason }),
        })
    }

    /// The queue that the job comes from; its type's unless set.
    pub fn queue(self, queue: &Queue) -> Self {
        self.map(|envelope| Ok(envelope.with_queue(queue.clone())))
    }

    /// The id that links the job to others.
    pub fn correlation_id(self, id: impl Into<String>) -> Self {
        self.map(|envelope| envelope.with_correlation_id(id))
    }

    /// A header of the message.
    pub fn header(self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
        self.map(|envelope| envelope.with_header(name, value))
    }

    /// The name of the worker; `leveret` unless set.
    pub fn worker(mut self, name: impl Into<String>) -> Self {
        self.circumstances.worker = name.into();
        self
    }

    /// The broker has delivered the job before.
    pub fn redelivered(mut self) -> Self {
        self.circumstances.redelivered = true;
        self
    }

    /// Asks the handler to stop after it has run for so long; zero: from the start.
    pub fn stop_after(mut self, time: Duration, cause: Cause) -> Self {
        self.circumstances.stop = Some((time, cause));
        self
    }
}

impl IntoFuture for Run {
    type Output = Ran;
    type IntoFuture = RunFuture;

    /// # Panics
    /// The handler takes a state that it was not given, or the job or a setting cannot travel.
    #[track_caller]
    fn into_future(self) -> RunFuture {
        RunFuture(Box::pin(self.prepare().perform()))
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("handler", &self.registration)
            .finish_non_exhaustive()
    }
}

/// The future of a [`Run`].
#[must_use = "futures do nothing unless polled"]
pub struct RunFuture(Pin<Box<dyn Future<Output = Ran> + Send>>);

impl Future for RunFuture {
    type Output = Ran;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Ran> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for RunFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunFuture").finish_non_exhaustive()
    }
}
