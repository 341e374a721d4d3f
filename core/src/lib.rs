//! Under construction.
#[cfg(feature = "_runtime")]
pub mod broker;
#[cfg(feature = "_runtime")]
pub mod connect;
pub mod envelope;
mod id;
mod job;
mod message;
mod name;
mod policy;
mod queue;

#[cfg(feature = "_runtime")]
pub use connect::{ConnectOptions, TopologyMode};
pub use envelope::{Envelope, EnvelopeError};
pub use id::JobId;
pub use job::Job;
pub use leveret_macros::Job;
pub use message::{HeaderValue, Headers, Message, Properties};
pub use name::{MAX_QUEUE_NAME, MAX_SHORT_STRING, NameError};
pub use policy::{Backoff, RetryPolicy};
pub use queue::{DEFAULT_DELIVERY_LIMIT, DeadLetter, Queue, QueueKind};
