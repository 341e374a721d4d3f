//! What a verdict comes to at the broker: [`Deed`].

use leveret::envelope::Republish;

use super::Purpose;
use crate::context::Attempt;
use crate::verdict::Verdict;

/// What is to be done with a delivery.
#[derive(Debug, PartialEq)]
pub(crate) enum Deed {
    /// Ack: the job needs no more.
    Done,
    /// Back to the queue, as if it had never been delivered.
    GiveBack,
    /// Publish what takes its place, and ack once that is confirmed.
    Replace { purpose: Purpose, why: Republish },
    /// The broker dead-letters it.
    LeaveToTheBroker,
}

/// Tells the log what becomes of a job.
pub(crate) fn log(attempt: &Attempt, verdict: &Verdict) {
    let incoming = &attempt.incoming;
    let (job, id, attempt) = (incoming.name.as_deref().unwrap_or("?"), &incoming.id, incoming.attempt);
    match verdict {
        Verdict::Ack => tracing::debug!(job, %id, attempt, "done"),
        Verdict::Snooze { after } => tracing::debug!(job, %id, attempt, ?after, "snoozed"),
        Verdict::GiveBack => tracing::info!(job, %id, attempt, "interrupted; it is given back"),
        Verdict::Cancel { reason } => tracing::info!(job, %id, attempt, reason, "cancelled"),
        Verdict::Retry { after, fault } => {
            tracing::warn!(job, %id, attempt, reason = fault.reason, error = fault.error, ?after, "failed; it is tried again");
        }
        Verdict::DeadLetter { fault } => {
            tracing::error!(job, %id, attempt, reason = fault.reason, error = fault.error, "failed; it becomes a dead letter");
        }
    }
}
