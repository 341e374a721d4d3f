//! The job that everybody sends and handles.

use std::time::{SystemTime, UNIX_EPOCH};

use leveret::Job;
use serde::{Deserialize, Serialize};

/// About 150 bytes of JSON.
#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(name = "bench-mail", queue = "bench")]
pub struct Mail {
    /// The number of the job, from 0.
    pub id: u64,
    /// When its publish was called, in nanoseconds since 1970.
    pub ts: u64,
    /// To whom.
    pub to: String,
    /// About what.
    pub subject: String,
    /// What it says.
    pub body: String,
}

impl Mail {
    /// The job of this number, called now.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            ts: now(),
            to: "ada@example.org".to_owned(),
            subject: "your order is on its way".to_owned(),
            body: "x".repeat(40),
        }
    }

    /// How long ago its publish was called, in milliseconds.
    pub fn age_ms(&self) -> f64 {
        now().saturating_sub(self.ts) as f64 / 1e6
    }
}

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
