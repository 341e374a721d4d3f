//! When a failed job is tried again: [`RetryPolicy`] and [`Backoff`]. Pure: chance is an input.

mod backoff;
mod text;

pub use backoff::{Backoff, Jitter};

/// How often a job is tried and how long to wait in between.
///
/// ```
/// use leveret::{Backoff, RetryPolicy};
///
/// const PATIENT: RetryPolicy = RetryPolicy::new(8, Backoff::exponential("1s", "10m"));
/// assert_eq!(PATIENT.max_attempts(), 8);
///
/// const ONCE: RetryPolicy = RetryPolicy::new(1, RetryPolicy::DEFAULT.backoff());
/// assert_eq!(ONCE.backoff(), PATIENT.backoff());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    max_attempts: u32,
    backoff: Backoff,
}

impl RetryPolicy {
    /// Five attempts, exponential backoff from one second to ten minutes.
    pub const DEFAULT: Self = Self::new(5, Backoff::exponential("1s", "10m"));

    /// A policy of `max_attempts` runs in all (the first one counts; 0 is read as 1) with `backoff` in between.
    #[must_use]
    pub const fn new(max_attempts: u32, backoff: Backoff) -> Self {
        Self {
            max_attempts: if max_attempts == 0 { 1 } else { max_attempts },
            backoff,
        }
    }

    /// The number of runs in all, at least 1.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The same waits for another number of runs in all (0 is read as 1).
    #[must_use]
    pub const fn with_max_attempts(self, max_attempts: u32) -> Self {
        Self::new(max_attempts, self.backoff)
    }

    /// The same number of runs with other waits.
    #[must_use]
    pub const fn with_backoff(self, backoff: Backoff) -> Self {
        Self::new(self.max_attempts, backoff)
    }

    /// The waits between the runs.
    #[must_use]
    pub const fn backoff(&self) -> Backoff {
        self.backoff
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}
