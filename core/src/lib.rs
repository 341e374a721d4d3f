//! Under construction.
#[cfg(feature = "_runtime")]
pub mod broker;
#[cfg(feature = "_runtime")]
mod clock;
#[cfg(feature = "_runtime")]
pub mod connect;
pub mod envelope;
mod id;
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
pub use clock::Clock;
#[cfg(feature = "_runtime")]
pub use connect::{ConnectOptions, InvalidOptions, TopologyMode};
pub use envelope::{Envelope, EnvelopeError};
pub use id::JobId;
pub use job::Job;
#[cfg(feature = "_runtime")]
pub use ledger::{Fate, Why};
pub use leveret_macros::Job;
pub use message::{HeaderValue, Headers, Message, Properties};
pub use name::{MAX_QUEUE_NAME, MAX_SHORT_STRING, NameError};
pub use policy::{Backoff, RetryPolicy};
#[cfg(feature = "_runtime")]
pub use producer::{Enqueue, EnqueueError, EnqueueFuture, Pending, Producer, Submit, SubmitFuture, TryEnqueueError};
pub use queue::{DEFAULT_DELIVERY_LIMIT, DeadLetter, Queue, QueueKind};
#[cfg(feature = "_runtime")]
pub use rabbit::{ConnectError, Rabbit};
