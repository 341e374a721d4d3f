//! What runs a job: async functions and types that implement [`Handler`], both turned into one shape by [`IntoHandler`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leveret::envelope::Incoming;
use leveret::{Job, Queue, RetryPolicy};

use crate::config::Settings;
use crate::context::Context;
use crate::extract::FromContext;
use crate::outcome::{AttemptError, IntoOutcome, Outcome, of_output};
use crate::states::Requirements;

/// A type that runs jobs, for handlers with a state of their own. For most jobs an async function is shorter.
///
/// ```
/// use leveret::Job;
/// use leveret_worker::{Context, Handler, async_trait};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct SendWelcome { user_id: u64 }
/// # impl Job for SendWelcome {
/// #     const NAME: &'static str = "send_welcome";
/// #     const QUEUE: leveret::Queue = leveret::Queue::new("mail");
/// # }
///
/// struct Mailer { from: String }
///
/// #[async_trait]
/// impl Handler<SendWelcome> for Mailer {
///     type Output = Result<(), std::io::Error>;
///
///     async fn run(&self, job: SendWelcome, context: Context) -> Self::Output {
///         println!("{} greets user {} (job {})", self.from, job.user_id, context.id());
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle the job `{J}`",
    label = "no `Handler<{J}>` for this type",
    note = "implement `Handler<{J}>` for it with `#[async_trait]`, or pass an async function to `register`"
)]
pub trait Handler<J: Job>: Send + Sync + 'static {
    /// What a run returns; see [`IntoOutcome`].
    type Output: IntoOutcome + Send;

    /// Runs one job.
    async fn run(&self, job: J, context: Context) -> Self::Output;

    /// How often and with which pauses this one job is tried again, by what is in it. `None`: as its type says, or what was set on the
    /// builder. See [`WorkerBuilder::retry_by`](crate::WorkerBuilder::retry_by), which is the same for functions and wins over this.
    fn retry_policy(&self, job: &J) -> Option<RetryPolicy> {
        let _ = job;
        None
    }
}

/// What `WorkerBuilder::register` takes: an async function of a job and up to eight extractors, or a type with exactly
/// one [`Handler`] implementation. `Marker` tells the two apart for the compiler and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job handler",
    label = "not a handler",
    note = "a handler is an `async fn(job, extractors…)` whose first argument derives `Job`, whose other arguments (at most eight) implement \
            `FromContext` (`State<T>`, `Context`), whose return type implements `IntoOutcome`, and whose future is `Send`",
    note = "a type with several `Handler<J>` implementations is registered with `register_for::<J>`"
)]
pub trait IntoHandler<Marker>: Sized {
    /// The job that it runs.
    type Job: Job;

    /// Turns it into the form that a worker keeps.
    #[doc(hidden)]
    fn into_handler(self) -> Registration;
}

/// Runs a handler, from the bytes to the outcome. The box is the one allocation that it costs.
pub(crate) type Run = dyn Fn(Context) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

/// A handler with all that its job type says.
pub struct Registration {
    pub(crate) job: JobSpec,
    pub(crate) requirements: Requirements,
    pub(crate) run: Box<Run>,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

/// What a job type says of itself, as values.
#[derive(Debug, Clone)]
pub(crate) struct JobSpec {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) queue: Queue,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Option<Duration>,
    /// Whether its handler runs on a thread of its own.
    pub(crate) blocking: bool,
}

impl JobSpec {
    pub(crate) fn of<J: Job>() -> Self {
        Self {
            name: J::NAME,
            aliases: J::ALIASES,
            queue: J::QUEUE,
            retry: J::RETRY,
            timeout: J::TIMEOUT,
            blocking: false,
        }
    }

    /// How long an attempt may run: what its type says, or else its queue's limit, or else the worker's. `queue` is the one that the job is
    /// consumed from.
    pub(crate) fn timeout_in(&self, settings: &Settings) -> Duration {
        let of_queue = settings.queue_timeouts.get(self.queue.name()).copied();
        self.timeout.or(of_queue).unwrap_or(settings.job_timeout)
    }
}

/// Marks types that implement [`Handler`].
#[doc(hidden)]
#[derive(Debug)]
pub struct ByType<J>(std::marker::PhantomData<fn(J)>);

impl<H: Handler<J>, J: Job> IntoHandler<ByType<J>> for H {
    type Job = J;

    fn into_handler(self) -> Registration {
        let handler = Arc::new(self);
        Registration {
            job: JobSpec::of::<J>(),
            requirements: Requirements::default(),
            run: Box::new(move |context| {
                let handler = handler.clone();
                Box::pin(async move {
                    match Incoming::job::<J>(context.body()) {
                        Ok(job) => {
                            context.meet(&job, handler.retry_policy(&job));
                            of_output(handler.run(job, context).await)
                        }
                        Err(error) => AttemptError::Undecodable(error.to_string()).into(),
                    }
                })
            }),
        }
    }
}

macro_rules! functions_of {
    ($($extractor:ident),*) => {
        impl<F, J, Fut, $($extractor),*> IntoHandler<fn(J, $($extractor),*) -> Fut> for F
        where
            F: Fn(J, $($extractor),*) -> Fut + Send + Sync + 'static,
            J: Job,
            Fut: Future<Output: IntoOutcome> + Send + 'static,
            $($extractor: FromContext + 'static,)*
        {
            type Job = J;

            #[allow(non_snake_case, unused_mut, reason = "each extractor's type names its variable; none needs no `mut`")]
            fn into_handler(self) -> Registration {
                let mut requirements = Requirements::default();
                $($extractor::requires(&mut requirements);)*
                let handler = Arc::new(self);
                let run: Box<Run> = Box::new(move |context| {
                    let handler = handler.clone();
                    Box::pin(async move {
                        let job = match Incoming::job::<J>(context.body()) {
                            Ok(job) => job,
                            Err(error) => return AttemptError::Undecodable(error.to_string()).into(),
                        };
                        context.meet(&job, None);
                        $(let $extractor = match $extractor::from_context(&context).await {
                            Ok(value) => value,
                            Err(error) => return Outcome::Failed(error),
                        };)*
                        of_output(handler(job, $($extractor),*).await)
                    })
                });
                Registration { job: JobSpec::of::<J>(), requirements, run }
            }
        }
    };
}

functions_of!();
functions_of!(A);
functions_of!(A, B);
functions_of!(A, B, C);
functions_of!(A, B, C, D);
functions_of!(A, B, C, D, E);
functions_of!(A, B, C, D, E, G);
functions_of!(A, B, C, D, E, G, H);
functions_of!(A, B, C, D, E, G, H, I);
