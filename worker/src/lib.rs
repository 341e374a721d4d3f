//! The worker runtime of Leveret: consumes jobs from RabbitMQ and runs their handlers.
//!
//! # Layout
//! In running order. What the application writes: [`WorkerBuilder`] takes handlers ([`IntoHandler`], [`Handler`]) with
//! their extractors ([`FromContext`], [`State`], [`Context`]); `plan` checks it all. What runs: `attempt` runs one handler,
//! whose [`Outcome`] (or [`JobError`]) `verdict` turns into a decision.

mod attempt;
mod builder;
mod cancellation;
mod config;
mod context;
mod error;
mod extract;
#[cfg(test)]
mod fixtures;
mod handler;
mod outcome;
mod plan;
mod registry;
mod states;
mod verdict;

pub use async_trait::async_trait;
pub use leveret;

pub use builder::WorkerBuilder;
pub use cancellation::Cause;
pub use config::{DEFAULT_CONCURRENCY, MAX_PREFETCH};
pub use context::Context;
pub use error::JobError;
pub use extract::{FromContext, State};
pub use handler::{Handler, IntoHandler};
pub use outcome::{BoxError, IntoOutcome, Outcome};
pub use plan::BuildError;
pub use states::Requirements;
