//! What there is to do.

use leveret::{Backoff, Job, Queue};
use serde::{Deserialize, Serialize};

/// Many short jobs.
pub const MAIL: Queue = Queue::new("demo-mail");

/// A few long ones: a queue of their own, so that no mail waits for a report.
pub const REPORTS: Queue = Queue::new("demo-reports");

/// Greets a new user. The mail service of this demo fails now and then, so it is tried up to eight times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = MAIL, max_attempts = 8, backoff = Backoff::exponential("200ms", "10s"), timeout = "10s")]
pub struct SendWelcome {
    /// Where the mail goes.
    pub address: String,
}

/// Writes the report of one month. A month that does not exist never will: such a job is a dead letter at once. Nobody
/// waits for a report for more than an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = REPORTS, max_attempts = 3, timeout = "1m", expires_in = "1h")]
pub struct BuildReport {
    /// The year.
    pub year: u16,
    /// The month, 1 to 12.
    pub month: u8,
}
