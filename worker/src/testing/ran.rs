//! What came of an attempt: [`Ran`] and its [`Verdict`].

use std::fmt;
use std::time::Duration;

use crate::verdict;

/// What came of running a handler on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub(super) job: &'static str,
    pub(super) verdict: Verdict,
}

/// What a worker would do with the job now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is done: acknowledge it.
    Done,
    /// It failed: try it again.
    Retry {
        /// After how long; where the policy has jitter, the longest it may come to.
        after: Duration,
        /// Why, in one word: `failed`, `panicked`, `timed_out`.
        reason: &'static str,
        /// The error's text, its sources included.
        error: String,
    },
    /// It failed, and is not tried again: make a dead letter of it.
    DeadLetter {
        /// Why, in one word: `failed`, `panicked` or `timed_out` at the last attempt, `rejected`, `expired`,
        /// `undecodable`.
        reason: &'static str,
        /// The error's text, its sources included.
        error: String,
    },
    /// Not now: the same attempt comes again.
    Snooze {
        /// After how long.
        after: Duration,
    },
    /// It is no longer wanted: acknowledge it.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// The handler gave up because it was asked to stop: back to the queue, no attempt is spent.
    GivenBack,
}

impl Ran {
    /// What a worker would do with the job now.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// What went wrong, if it failed.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Retry { error, .. } | Verdict::DeadLetter { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Expects the job to be done.
    ///
    /// # Panics
    /// It is not.
    #[track_caller]
    pub fn assert_done(&self) {
        assert!(self.verdict == Verdict::Done, "{self}");
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the handler of `{}`: {}", self.job, self.verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Retry { after, reason, error } => write!(f, "{reason}, to be tried again after {after:?}: {error}"),
            Self::DeadLetter { reason, error } => write!(f, "{reason}, a dead letter: {error}"),
            Self::Snooze { after } => write!(f, "snoozed for {after:?}"),
            Self::Cancelled { reason } => write!(f, "cancelled: {reason}"),
            Self::GivenBack => f.write_str("given back, because it was asked to stop"),
        }
    }
}

impl From<verdict::Verdict> for Verdict {
    fn from(verdict: verdict::Verdict) -> Self {
        match verdict {
            verdict::Verdict::Ack => Self::Done,
            verdict::Verdict::Retry { after, fault } => Self::Retry {
                after,
                reason: fault.reason,
                error: fault.error,
            },
            verdict::Verdict::DeadLetter { fault } => Self::DeadLetter {
                reason: fault.reason,
                error: fault.error,
            },
            verdict::Verdict::Snooze { after } => Self::Snooze { after },
            verdict::Verdict::Cancel { reason } => Self::Cancelled { reason },
            verdict::Verdict::GiveBack => Self::GivenBack,
        }
    }
}
