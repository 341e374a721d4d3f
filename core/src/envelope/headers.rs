//! The names of the headers that Leveret writes. All under its own prefix: `x-` belongs to the broker.

use super::error::EnvelopeError;
use crate::message::HeaderValue;
use crate::name::{MAX_SHORT_STRING, check_short_string};

/// Which run of the job the message is for; the first is 1, as it is without this header.
pub const ATTEMPT: &str = "leveret-attempt";
/// How many times the job has been republished (retry, snooze, redrive, copy). With the id it names one message. Without it a message
/// whose `app_id` is `leveret` was not republished, and any other was never published by Leveret.
pub const HOP: &str = "leveret-hop";
/// The queue that the job was first enqueued to. Without it: the one where it lies.
pub const ORIGIN: &str = "leveret-origin";
/// Present on a message that may be there twice: its first publish was never confirmed, or it takes the place of a job that was delivered
/// more than once, each delivery of which may have had a successor.
pub const RESENT: &str = "leveret-resent";
/// The number of attempts set for this one job; it wins over the job type's.
pub const MAX_ATTEMPTS: &str = "leveret-max-attempts";
/// The time limit of an attempt in milliseconds (at least 1), set for this one job; it wins over the job type's.
pub const TIMEOUT_MS: &str = "leveret-timeout-ms";
/// When a delayed job is due, in milliseconds since the Unix epoch by the clock of whoever delayed it.
pub const DUE: &str = "leveret-due";
/// When the job is no longer wanted, in milliseconds since the Unix epoch: no attempt begins after it.
pub const EXPIRES: &str = "leveret-expires";
/// The failed attempts so far, as JSON: see [`History`](super::History).
pub const HISTORY: &str = "leveret-history";
/// On a job in a queue of suspects: how often it was started there. A dead letter `poison` keeps it.
pub const SUSPECT: &str = "leveret-suspect";
/// On a suspect that is about to be started, and counted as such.
pub const SUSPECT_ARMED: &str = "leveret-suspect-armed";
/// On a job in a classic queue, which does not count deliveries: how many of them ended with their worker.
pub const CRASHES: &str = "leveret-crashes";
/// How often the job met a worker that knows no handler for it and waits for one that does.
pub const UNKNOWN: &str = "leveret-unknown";
/// Put on a delivery, by whoever receives it, whose properties or headers are not what AMQP allows (not UTF-8, longer than they say, nested more than 64
/// deep), in place of what could not be read. Such a job is not run: it becomes a dead letter.
pub const UNREADABLE: &str = "leveret-unreadable";
/// How many times the job was sent back to work from among the dead letters.
pub const REDRIVEN: &str = "leveret-redriven";
/// On a dead letter: why, as one word (`failed`, `rejected`, `panicked`, `timed_out`, `expired`, `undecodable`, `unknown_type`, `poison`).
pub const FAILURE_REASON: &str = "leveret-failure-reason";
/// On a dead letter or retry: the last error's text, shortened.
pub const FAILURE_ERROR: &str = "leveret-failure-error";
/// On a dead letter: the queue that the job was consumed from.
pub const FAILURE_QUEUE: &str = "leveret-failure-queue";
/// On a dead letter: when, in milliseconds since the Unix epoch.
pub const FAILURE_AT: &str = "leveret-failure-at-ms";
/// On a dead letter: the worker's name.
pub const FAILURE_WORKER: &str = "leveret-failure-worker";
/// On a job that a schedule has enqueued: the schedule's name.
pub const SCHEDULE: &str = "leveret-schedule";
/// On a job that a schedule has enqueued: when it was due, in milliseconds since the Unix epoch.
pub const TICK: &str = "leveret-tick-ms";

/// The prefix of everything above. Users' own headers must not begin with it.
pub const PREFIX: &str = "leveret-";

/// Bookkeeping of the broker. It is never copied to a republished message: brokers up to 3.13 interpret a republished
/// `x-death` as a dead-letter cycle and drop the message or keep it stuck, 4.x inherits delivery counts, and `CC` and
/// `BCC` would route it elsewhere.
pub(crate) fn is_broker_bookkeeping(name: &str) -> bool {
    name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
        || matches!(
            name,
            "x-death" | "x-delivery-count" | "x-acquired-count" | "x-opt-delivery-count" | "CC" | "BCC"
        )
}

/// How deep an application's own header value may be nested.
const MAX_DEPTH: usize = 16;

/// Checks a header of the application's own. A value that cannot be encoded would cost the whole connection, one that JSON
/// cannot hold would be lost in an outbox.
pub(super) fn check_own(name: &str, value: &HeaderValue) -> Result<(), EnvelopeError> {
    let refuse_name = |reason| {
        Err(EnvelopeError::HeaderName {
            name: name.to_owned(),
            reason,
        })
    };
    if let Err(reason) = check_short_string(name) {
        return refuse_name(Some(reason));
    }
    if name.starts_with(PREFIX) || name.starts_with("x-") || is_broker_bookkeeping(name) {
        return refuse_name(None);
    }
    check_value(value, MAX_DEPTH).map_err(|fault| EnvelopeError::HeaderValue {
        name: name.to_owned(),
        fault,
    })
}

fn check_value(value: &HeaderValue, depth: usize) -> Result<(), &'static str> {
    let Some(below) = depth.checked_sub(1) else {
        return Err("it is nested more than 16 deep");
    };
    match value {
        HeaderValue::Float(number) if !number.is_finite() => Err("a float must be finite"),
        HeaderValue::List(items) => items.iter().try_for_each(|item| check_value(item, below)),
        HeaderValue::Table(table) => table.iter().try_for_each(|(name, value)| {
            if name.len() > MAX_SHORT_STRING {
                return Err("a name in a table is longer than 255 bytes");
            }
            check_value(value, below)
        }),
        _ => Ok(()),
    }
}

/// The header in which quorum queues report how many times a message was delivered before.
pub(crate) const BROKER_DELIVERY_COUNT: &str = "x-delivery-count";
