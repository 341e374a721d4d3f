//! What a handler can take after its job: [`FromContext`] and [`State`].

use std::any::type_name;
use std::future::Future;
use std::ops::{Deref, DerefMut};

use crate::context::Context;
use crate::outcome::BoxError;
use crate::states::Requirements;

/// Something that a handler can take as an argument after its job.
///
/// Leveret brings [`Context`], [`State`] and [`Producer`](leveret::Producer); an own one is a few lines. An error fails the attempt like an
/// error of the handler, so a pool that is empty for a moment costs a retry and not the job.
///
/// ```
/// use leveret_worker::{BoxError, Context, FromContext, Requirements, State};
/// # #[derive(Clone)] struct Pool;
/// # struct Connection;
/// # impl Pool { async fn get(&self) -> Result<Connection, std::io::Error> { Ok(Connection) } }
///
/// struct Db(Connection);
///
/// impl FromContext for Db {
///     fn requires(requirements: &mut Requirements) {
///         requirements.state::<Pool>();
///     }
///
///     async fn from_context(context: &Context) -> Result<Self, BoxError> {
///         let State(pool) = State::<Pool>::from_context(context).await?;
///         Ok(Db(pool.get().await?))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a job handler cannot take `{Self}`",
    label = "not something a handler can be given",
    note = "after the job a handler takes `Context`, `State<T>` or own types that implement `FromContext`"
)]
pub trait FromContext: Sized + Send {
    /// Says what the worker must have for this to work. Nothing by default.
    fn requires(requirements: &mut Requirements) {
        let _ = requirements;
    }

    /// Makes the value for one attempt.
    ///
    /// # Errors
    /// Whatever keeps it from being made; the attempt has failed then.
    fn from_context(context: &Context) -> impl Future<Output = Result<Self, BoxError>> + Send;
}

impl FromContext for Context {
    async fn from_context(context: &Context) -> Result<Self, BoxError> {
        Ok(context.clone())
    }
}

/// The producer on the worker's own connections, for handlers that enqueue further jobs.
///
/// ```
/// use leveret::Producer;
/// # use leveret::Job;
/// # #[derive(serde::Serialize, serde::Deserialize, Job)] #[job(queue = "mail")] struct SendWelcome { user_id: u64 }
/// # #[derive(serde::Serialize, serde::Deserialize, Job)] #[job(queue = "users")] struct SignUp { user_id: u64 }
///
/// async fn sign_up(job: SignUp, producer: Producer) -> Result<(), leveret::EnqueueError> {
///     producer.enqueue(SendWelcome { user_id: job.user_id }).await?;
///     Ok(())
/// }
/// ```
impl FromContext for leveret::Producer {
    async fn from_context(context: &Context) -> Result<Self, BoxError> {
        match context.producer() {
            Some(producer) => Ok(producer.clone()),
            None => Err("this handler is run without a broker, so there is no producer: in a test, give it one with `.broker(&broker)`".into()),
        }
    }
}

/// A value that the application gave to the worker with `WorkerBuilder::state`: a client, a pool, settings. Each attempt
/// gets a clone, so put large things into an `Arc`.
///
/// ```
/// use leveret_worker::State;
/// # use leveret::Job;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct SendWelcome { user_id: u64 }
/// # #[derive(Clone)] struct Mailer;
/// # impl Mailer { async fn send(&self, _: u64) -> Result<(), std::io::Error> { Ok(()) } }
///
/// async fn send_welcome(job: SendWelcome, State(mailer): State<Mailer>) -> Result<(), std::io::Error> {
///     mailer.send(job.user_id).await
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromContext for State<T> {
    fn requires(requirements: &mut Requirements) {
        requirements.state::<T>();
    }

    async fn from_context(context: &Context) -> Result<Self, BoxError> {
        match context.states().get::<T>() {
            Some(value) => Ok(Self(value.clone())),
            // `build()` has checked what `requires` names; this is for own extractors that do not name it.
            None => Err(format!(
                "the worker has no state of type `{}`: give it one with `.state(…)`",
                type_name::<T>()
            )
            .into()),
        }
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for State<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
