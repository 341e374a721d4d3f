//! What an application declares: a [`Job`] type.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::policy::RetryPolicy;
use crate::queue::Queue;

/// A unit of work: plain data that travels as JSON and is run by a handler in a worker.
///
/// Derive it rather than implement it; the derive macro checks every setting at compile time.
///
/// What JSON cannot hold does not arrive: a float that is NaN or infinite is written as `null`, which no worker reads back as
/// a float, and the job becomes a dead letter.
///
/// ```
/// use leveret::{Backoff, Job, Queue};
/// use serde::{Deserialize, Serialize};
///
/// pub const MAIL: Queue = Queue::new("mail");
///
/// #[derive(Debug, Serialize, Deserialize, Job)]
/// #[job(queue = MAIL, max_attempts = 8, backoff = Backoff::exponential("1s", "10m"), timeout = "30s")]
/// pub struct SendWelcome {
///     pub user_id: u64,
/// }
///
/// assert_eq!(SendWelcome::NAME, "send_welcome");
/// assert_eq!(SendWelcome::QUEUE.name(), "mail");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job",
    label = "this type does not implement `Job`",
    note = "put `#[derive(serde::Serialize, serde::Deserialize, leveret::Job)]` on the type"
)]
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// The name under which the job travels (the AMQP property `type`): the snake_case of the type unless set with
    /// `name = "…"`. Never the module path, so that moving a type changes nothing on the wire.
    const NAME: &'static str;

    /// Former names that a worker still runs as this job; set with `alias = "old_name"`.
    const ALIASES: &'static [&'static str] = &[];

    /// The queue that the job is enqueued to and consumed from.
    const QUEUE: Queue;

    /// How often and with which pauses a failed job is tried again.
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;

    /// How long one attempt may run. `None`: the worker's limit, 25 minutes by default.
    const TIMEOUT: Option<Duration> = None;

    /// How long after it was made the job is still wanted; set with `expires_in = "10m"`. `None`: for ever. A job that has expired is not run: it
    /// becomes a dead letter with the reason `expired`.
    const EXPIRES_IN: Option<Duration> = None;
}
