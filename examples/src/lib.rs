//! What the programs under `src/bin` share: the jobs that `producer` enqueues and `worker` runs. In an application this is a
//! crate of its own, which depends on `leveret` with `default-features = false`.

use leveret::{Backoff, Job, Queue};
use serde::{Deserialize, Serialize};

/// Where new users wait. One constant for all programs: RabbitMQ refuses a second definition of a queue.
pub const USERS: Queue = Queue::new("users");

/// Where mails wait.
pub const MAIL: Queue = Queue::new("mail");

/// Somebody has signed up.
#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = USERS, timeout = "30s")]
pub struct SignUp {
    /// Where to write to.
    pub address: String,
}

/// What follows from it.
#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = MAIL, max_attempts = 8, backoff = Backoff::exponential("1s", "10m"), timeout = "30s")]
pub struct SendWelcome {
    /// Where to write to.
    pub address: String,
}

/// The README, so that what it shows compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
