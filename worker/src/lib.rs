//! The worker runtime of Leveret: consumes jobs from RabbitMQ and runs their handlers.
//!
//! ```no_run
//! use leveret::{Job, Queue};
//! use leveret_worker::{Context, State, Worker};
//! use serde::{Deserialize, Serialize};
//!
//! const MAIL: Queue = Queue::new("mail");
//!
//! #[derive(Debug, Serialize, Deserialize, Job)]
//! #[job(queue = MAIL, timeout = "30s")]
//! struct SendWelcome { user_id: u64 }
//!
//! # #[derive(Clone)] struct Mailer;
//! # impl Mailer { async fn send(&self, _: u64) -> Result<(), std::io::Error> { Ok(()) } }
//! async fn send_welcome(job: SendWelcome, State(mailer): State<Mailer>, context: Context) -> Result<(), std::io::Error> {
//!     println!("attempt {} of {}", context.attempt(), context.max_attempts());
//!     mailer.send(job.user_id).await
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let report = Worker::builder("amqp://localhost")
//!         .state(Mailer)
//!         .register(send_welcome)
//!         .concurrency(&MAIL, 32)
//!         .build()?
//!         .run_until_signal()
//!         .await?;
//!     println!("{report}");
//!     Ok(())
//! }
//! ```
//!
//! # Layout
//! In running order. What the application writes: [`WorkerBuilder`] takes handlers ([`IntoHandler`], [`Handler`]) with
//! their extractors ([`FromContext`], [`State`], [`Context`]); `plan` checks it all. What runs: [`Worker`] starts one `dispatcher` per queue, which
//! fetches jobs; `attempt` runs one handler, whose [`Outcome`] (or [`JobError`]) `verdict` turns into a decision, on which the dispatcher
//! acts by way of `settling`. What is seen of it: [`WorkerHandle`] while it runs, [`ExitReport`] afterwards. Without a dispatcher: [`Fetcher`] pulls
//! single jobs. `testing` (a feature) runs handlers and workers in tests; `guide` shows how.

mod attempt;
mod blocking;
mod builder;
mod cancellation;
mod config;
mod context;
mod dispatcher;
mod drain;
mod endpoint;
mod error;
mod extract;
mod fetch;
#[cfg(test)]
mod fixtures;
pub mod guide;
mod handle;
mod handler;
mod health;
mod joined;
mod kill_switch;
mod load;
mod middleware;
mod outcome;
mod plan;
mod pulse;
mod quiet;
mod registry;
mod report;
mod retry;
mod run_error;
mod running;
mod schedule;
mod settling;
mod signals;
mod source;
mod states;
mod terms;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tower")]
pub mod tower;
mod upkeep;
mod verdict;
mod worker;

/// What `#[debug_handler]` asks of each part of a function.
#[doc(hidden)]
pub mod check {
    /// Of the first argument.
    pub fn job<J: leveret::Job>() {}

    /// Of all others.
    pub fn extractor<E: crate::FromContext + 'static>() {}

    /// Of what it returns.
    pub fn outcome<O: crate::IntoOutcome>() {}
}

pub use async_trait::async_trait;
pub use leveret;
/// ```
/// use leveret_worker::{State, debug_handler};
/// # #[derive(serde::Serialize, serde::Deserialize, leveret::Job)]
/// # #[job(queue = "mail")]
/// # struct SendWelcome { user_id: u64 }
///
/// #[debug_handler]
/// async fn send_welcome(job: SendWelcome, State(from): State<String>) -> Result<(), std::io::Error> {
///     println!("{from} greets user {}", job.user_id);
///     Ok(())
/// }
/// ```
pub use leveret_macros::debug_handler;

pub use blocking::IntoBlockingHandler;
pub use builder::WorkerBuilder;
pub use cancellation::Cause;
pub use config::{DEFAULT_CONCURRENCY, MAX_PREFETCH, Unknown};
pub use context::Context;
pub use drain::{LastSeen, Unseen};
pub use error::JobError;
pub use extract::{FromContext, State};
pub use fetch::{FetchError, Fetched, Fetcher, Settled};
pub use handle::WorkerHandle;
pub use handler::{Handler, IntoHandler};
pub use health::{QueueState, WorkerHealth};
pub use kill_switch::KillSwitch;
pub use middleware::{Middleware, Next};
pub use outcome::{BoxError, IntoOutcome, Outcome};
pub use plan::BuildError;
pub use report::{ExitReport, QueueReport};
pub use retry::{ErrorClass, FailedAttempt, Retry};
pub use run_error::RunError;
pub use schedule::{CatchUp, MakeJob, Schedule, ScheduleState, Tick};
pub use source::Source;
pub use states::Requirements;
pub use terms::Interruption;
pub use worker::Worker;
