//! The job that `poisoned-worker` runs.

use leveret::{Job, Queue};
use serde::{Deserialize, Serialize};

/// Where doses go.
pub const DOSES: Queue = Queue::new("doses");

/// A job that its worker runs in no time, unless its number is 0: then the process aborts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, Job)]
#[job(queue = DOSES, timeout = "30s")]
pub struct Dose {
    /// 0 is deadly.
    pub number: u64,
}
