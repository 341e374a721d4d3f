//! The job types that a service and its worker share.

use leveret::{Backoff, Job, Queue};
use serde::{Deserialize, Serialize};

pub const MAIL: Queue = Queue::new("outside-mail");

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = MAIL, max_attempts = 8, backoff = Backoff::exponential("1s", "10m"), timeout = "30s")]
pub struct SendWelcome {
    pub user_id: u64,
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "outside-reports", name = "build_report", alias = "make_report")]
pub enum BuildReport {
    Daily,
    Monthly { year: u16, month: u8 },
}
