//! Leveret: a job queue on RabbitMQ that you embed. This crate declares jobs and enqueues them; `leveret-worker` runs them.
//!
// Without the memory broker it is text to read; there is no producer then.
#![cfg_attr(feature = "memory", doc = "```")]
#![cfg_attr(not(feature = "memory"), doc = "```ignore")]
//! use leveret::{Backoff, Job, Producer, Queue};
//! use serde::{Deserialize, Serialize};
//!
//! pub const MAIL: Queue = Queue::new("mail");
//!
//! #[derive(Debug, Serialize, Deserialize, Job)]
//! #[job(queue = MAIL, max_attempts = 8, backoff = Backoff::exponential("1s", "10m"), timeout = "30s")]
//! pub struct SendWelcome {
//!     pub user_id: u64,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let producer = Producer::connect("memory://crate-docs").await?; // or "amqp://localhost"
//! let id = producer.enqueue(SendWelcome { user_id: 7 }).await?; // Ok: routed, stored and confirmed
//! println!("enqueued as {id}");
//! producer.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`guide`] tells how to produce and how to operate. The README says what is promised and what can be configured, `ARCHITECTURE.md` how it works.
//!
//! # Layout
//! In reading order, which is a job's way out:
//! - what an application declares: `job` ([`Job`]), `queue` ([`Queue`]), `policy` ([`RetryPolicy`], [`Backoff`], [`Jitter`]), `id` ([`JobId`]),
//!   `name` (what a name may be)
//! - what travels: `message` ([`Message`]), [`envelope`] ([`Envelope`])
//! - where it goes: `connect` (`ConnectOptions`), `rabbit` (`Rabbit`: one process's connections)
//! - the way out: `producer` (`Producer`), `lane` (the task that publishes), `ledger` (what is not confirmed yet)
//! - what stands in the broker: `topology`
//! - what could not be done: `inspector` (`DeadLetters`, a work list)
//! - the broker: `broker` (the seam; RabbitMQ and a broker in memory behind it), `supervisor` (connections that are replaced)
//! - time and state as inputs: `clock`, `watch`
//! - `runtime`: what a worker is built from
//! - `testing`: private brokers for the tests of applications
//!
//! # Features
//! - `rabbitmq` (default): `amqp://` URLs.
//! - `rustls`: `amqps://` URLs, with ring; see [`ConnectOptions`] for certificates.
//! - `memory` (default): `memory://` URLs, a broker in this process's memory.
//! - `testing`: the module `testing`, for the tests of applications.
//!
//! Without either, only the first two lines of the layout are left: all that a crate of job types needs, without Tokio and
//! without an AMQP client.

#[cfg(feature = "_runtime")]
pub mod broker;
#[cfg(feature = "_runtime")]
mod clock;
#[cfg(feature = "_runtime")]
pub mod connect;
pub mod envelope;
#[cfg(feature = "memory")]
pub mod guide;
mod id;
#[cfg(feature = "_runtime")]
mod inspector;
mod job;
#[cfg(feature = "_runtime")]
mod lane;
#[cfg(feature = "_runtime")]
mod ledger;
mod message;
mod name;
mod policy;
#[cfg(feature = "_runtime")]
mod producer;
mod queue;
#[cfg(feature = "_runtime")]
mod rabbit;
#[cfg(feature = "_runtime")]
mod supervisor;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
#[cfg(feature = "_runtime")]
pub mod topology;
#[cfg(feature = "_runtime")]
pub mod watch;

/// What a worker runtime is built from; applications do not need it.
#[cfg(feature = "_runtime")]
pub mod runtime {
    pub use crate::lane::{Lane, Publish, Publishing};
    pub use crate::ledger::Target;
    pub use crate::supervisor::{Link, LinkState};
}

#[cfg(feature = "_runtime")]
pub use async_trait::async_trait;
#[cfg(feature = "_runtime")]
pub use clock::Clock;
#[cfg(feature = "_runtime")]
pub use connect::{ConnectOptions, InvalidOptions, TopologyMode};
pub use envelope::{Envelope, EnvelopeError};
pub use id::JobId;
#[cfg(feature = "_runtime")]
pub use inspector::{
    DeadLetterRecord, DeadLetters, Death, DiedBy, Discard, DiscardReport, Export, Filter, Fingerprint, Group, Import,
    ImportReport, Imported, ImportedLine, InspectError, Letter, LetterId, Listing, MAX_REDRIVES, Partial, Redrive,
    RedriveEvent, RedriveReport, Redriven, Refusal, Refused, Scan, ScanLimits,
};
pub use job::Job;
#[cfg(feature = "_runtime")]
pub use ledger::{Fate, Why};
pub use leveret_macros::Job;
pub use message::{HeaderValue, Headers, Message, Properties};
pub use name::{MAX_QUEUE_NAME, MAX_SHORT_STRING, NameError};
pub use policy::{Backoff, Jitter, RetryPolicy};
#[cfg(feature = "_runtime")]
pub use producer::{
    Enqueue, EnqueueError, EnqueueFuture, EnqueueMiddleware, EnqueueNext, Pending, Producer, Submit, SubmitFuture,
    TryEnqueueError,
};
pub use queue::{DEFAULT_DELIVERY_LIMIT, DeadLetter, Queue, QueueKind};
#[cfg(feature = "_runtime")]
pub use rabbit::{ConnectError, Rabbit};
pub use text::Text;
