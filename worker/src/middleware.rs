//! What the application puts around its handlers: [`Middleware`] and [`Next`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::attempt;
use crate::attempt::pipeline::Pipeline;
use crate::context::Context;
use crate::outcome::Outcome;

/// Something that is done around every attempt: metrics, idempotency, a transaction, an error reporter.
///
/// It is given the attempt's [`Context`] and what comes [`Next`]; what it returns is what the attempt came to. It may look at the
/// outcome, put another in its place, or answer without running the handler at all. Register it with
/// [`WorkerBuilder::middleware`](crate::WorkerBuilder::middleware) for every job, or with
/// [`middleware_for`](crate::WorkerBuilder::middleware_for) for one job type. Here, a job that was done is not done again:
///
/// ```
/// use std::collections::HashSet;
/// use std::sync::Mutex;
/// use leveret_worker::{Context, Middleware, Next, Outcome, async_trait};
///
/// /// In an application: a table, written in the transaction of the work.
/// #[derive(Default)]
/// struct Idempotent(Mutex<HashSet<String>>);
///
/// #[async_trait]
/// impl Middleware for Idempotent {
///     async fn attempt(&self, context: Context, next: Next) -> Outcome {
///         let id = context.id().to_string();
///         if self.0.lock().unwrap().contains(&id) {
///             return Outcome::Done;
///         }
///         let outcome = next.run(context).await;
///         if matches!(outcome, Outcome::Done) {
///             self.0.lock().unwrap().insert(id);
///         }
///         outcome
///     }
/// }
/// ```
///
/// # What it sees
/// Every attempt at a job that has a handler. How the handler failed it can ask the outcome: [`Outcome::is_timeout`],
/// [`is_panic`](Outcome::is_panic), [`is_undecodable`](Outcome::is_undecodable) (a body that is not the job's JSON is found out inside
/// `next`), [`is_interrupted`](Outcome::is_interrupted). Messages of an unknown type, or with headers that cannot be read, are no attempts:
/// no middleware sees them. What a middleware returns stands: one that makes a failure a [`Outcome::Done`] has the job acked.
///
/// # What holds for it
/// It runs in the attempt's tracing span and in its slot. Its panics are caught. The handler is dropped at the job's time limit,
/// which counts from the attempt's beginning, middlewares included; the middlewares themselves get a twentieth of it more
/// (100 ms to 5 s), to do something about the timeout, and are then dropped too.
///
/// With the feature `tower`, `leveret_worker::tower::layer` makes a middleware of any tower layer.
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// Runs one attempt: `next.run(context).await`, and whatever is to be done before and after it.
    async fn attempt(&self, context: Context, next: Next) -> Outcome;
}

#[async_trait]
impl<M: Middleware + ?Sized> Middleware for Arc<M> {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        (**self).attempt(context, next).await
    }
}

/// What is left of an attempt: the middlewares further in, and the handler. It is owned, so it can be moved into a task; the
/// handler's time limit holds there too. A clone runs the rest once more.
///
/// Await such a task, and abort it in a drop guard: the attempt may end before it (at its limit, in a shutdown), and does not wait for what
/// others run. A handler that goes on by itself may then run beside its own retry.
#[derive(Clone)]
pub struct Next {
    pipeline: Arc<Pipeline>,
    position: usize,
    /// When the handler's time is up.
    deadline: Instant,
}

impl Next {
    pub(crate) fn new(pipeline: Arc<Pipeline>, deadline: Instant) -> Self {
        Self {
            pipeline,
            position: 0,
            deadline,
        }
    }

    /// Runs the rest of the attempt. Dropping the future stops the handler at its next `await`; a blocking handler runs on, and the
    /// attempt has not ended before its thread has returned.
    pub async fn run(mut self, context: Context) -> Outcome {
        let pipeline = self.pipeline.clone();
        match pipeline.middlewares.get(self.position) {
            Some(middleware) => {
                self.position += 1;
                middleware.attempt(context, self).await
            }
            None => attempt::handled(&pipeline, context, self.deadline).await,
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.pipeline.middlewares.len().saturating_sub(self.position);
        f.debug_struct("Next")
            .field("middlewares_left", &left)
            .finish_non_exhaustive()
    }
}

/// The middlewares of a worker that is being built.
#[derive(Default)]
pub(crate) struct Middlewares {
    of_all: Vec<Arc<dyn Middleware>>,
    of_jobs: Vec<(&'static str, Arc<dyn Middleware>)>,
}

impl Middlewares {
    pub(crate) fn add(&mut self, middleware: impl Middleware) {
        self.of_all.push(Arc::new(middleware));
    }

    pub(crate) fn add_for(&mut self, job: &'static str, middleware: impl Middleware) {
        self.of_jobs.push((job, Arc::new(middleware)));
    }

    /// Those of one job, outermost first: what is for every job is outside.
    pub(crate) fn of(&self, job: &str) -> Vec<Arc<dyn Middleware>> {
        let own = self.of_jobs.iter().filter(|(name, _)| *name == job);
        self.of_all.iter().chain(own.map(|(_, one)| one)).cloned().collect()
    }

    /// The jobs that have middlewares of their own.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &'static str> {
        self.of_jobs.iter().map(|(job, _)| *job)
    }
}

impl fmt::Debug for Middlewares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} middlewares", self.of_all.len() + self.of_jobs.len())
    }
}
