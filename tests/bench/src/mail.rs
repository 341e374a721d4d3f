//! The job that everybody sends and handles.

use std::time::{SystemTime, UNIX_EPOCH};

use leveret::{Backoff, Job};
use serde::{Deserialize, Serialize};

/// About 150 bytes of JSON. Should it fail, it waits as short as the delay ladder can.
#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(name = "bench-mail", queue = "bench", backoff = Backoff::fixed("100ms"))]
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

/// What its body has by itself.
const BODY: usize = 40;
/// What is around the body.
const AROUND: usize = 110;

impl Mail {
    /// The job of this number, called now.
    pub fn new(id: u64) -> Self {
        Self::sized(id, None)
    }

    /// The job of this number, called now, about so many bytes long.
    pub fn sized(id: u64, bytes: Option<usize>) -> Self {
        Self {
            id,
            ts: now(),
            to: "ada@example.org".to_owned(),
            subject: "your order is on its way".to_owned(),
            body: "x".repeat(bytes.map_or(BODY, |bytes| bytes.saturating_sub(AROUND))),
        }
    }

    /// How long ago its publish was called, in milliseconds.
    pub fn age_ms(&self) -> f64 {
        since_ms(self.ts)
    }
}

/// How long ago that was, in milliseconds.
pub fn since_ms(nanos: u64) -> f64 {
    now().saturating_sub(nanos) as f64 / 1e6
}

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_about_as_long_as_it_was_asked_to_be() {
        let length = |mail: &Mail| serde_json::to_vec(mail).expect("plain fields").len();
        assert!((140..=160).contains(&length(&Mail::new(100_000))));
        for bytes in [1_000, 1_000_000] {
            let length = length(&Mail::sized(7, Some(bytes)));
            assert!(length.abs_diff(bytes) < 30, "{length} instead of {bytes}");
        }
    }
}
