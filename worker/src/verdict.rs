//! What shall happen to a job whose attempt has ended. Pure: values in, values out; settling acts on it.

use std::time::Duration;

use leveret::{RetryPolicy, Text};

use crate::error;
use crate::outcome::{AttemptError, Outcome};
use crate::retry::Retry;

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The handler, or one of its extractors, came to an end.
    Returned(Outcome),
    /// The handler panicked, with this message.
    Panicked(String),
    /// The handler was still running after this time and was dropped.
    TimedOut(Duration),
    /// The message is not the job that its type says; why.
    Undecodable(String),
    /// No handler is registered for the message's type.
    UnknownType(Option<Text>),
    /// The message's type is not the job that was to be fetched.
    OtherType { name: Option<String>, wanted: &'static str },
    /// The job had expired before the attempt could begin.
    Expired,
    /// It was started so often, beside nothing else, and its worker was never heard of again.
    Poison { starts: u32 },
    /// The handler gave up because it was asked to, or was aborted: nobody's failure.
    Interrupted,
}

/// Where a job stands when its attempt ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tries {
    /// The attempt that ended; the first is 1.
    pub(crate) attempt: u32,
    /// How many there are in all, where that was set for this one job.
    pub(crate) max_attempts: Option<u32>,
    /// How many there are otherwise, and the waits in between.
    pub(crate) policy: RetryPolicy,
    /// What the application's rules say of this failure.
    pub(crate) rule: Option<Retry>,
    /// How long the job is still wanted; `None`: for ever.
    pub(crate) wanted: Option<Duration>,
}

impl Tries {
    /// Whether this attempt was the last that `policy` allows.
    fn was_last(&self, policy: RetryPolicy) -> bool {
        self.attempt >= self.max_attempts.unwrap_or(policy.max_attempts())
    }

    /// Whether the job is no longer wanted once it has waited so long.
    fn is_expired_after(&self, wait: Duration) -> bool {
        self.wanted.is_some_and(|wanted| wait >= wanted)
    }
}

/// What shall happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is done.
    Ack,
    /// It failed and is tried again.
    Retry { after: Duration, fault: Fault },
    /// It failed and is not tried again.
    DeadLetter { fault: Fault },
    /// The same attempt comes again.
    Snooze { after: Duration },
    /// It is no longer wanted.
    Cancel { reason: String },
    /// As if it had never been delivered.
    GiveBack,
}

/// What went wrong: one word for machines (a value of the failure-reason header), one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: &'static str,
    pub(crate) error: String,
}

/// Decides. `chance` in `0.0..=1.0` spreads the retries.
pub(crate) fn verdict(ended: Ended, tries: Tries, chance: f64) -> Verdict {
    match ended {
        Ended::Returned(Outcome::Done) => Verdict::Ack,
        Ended::Returned(Outcome::Snooze(after)) if tries.is_expired_after(after) => Verdict::DeadLetter {
            fault: expired("it was put off, and expires before it would come again".to_owned()),
        },
        Ended::Returned(Outcome::Snooze(after)) => Verdict::Snooze { after },
        Ended::Returned(Outcome::Cancel(reason)) => Verdict::Cancel { reason },
        Ended::Returned(Outcome::Failed(error)) => failed(&*error, tries, chance),
        Ended::Panicked(message) => {
            let error = AttemptError::Panicked(message).to_string();
            let fault = Fault {
                reason: "panicked",
                error,
            };
            by_the_rules(fault, "panicked", tries, chance)
        }
        Ended::TimedOut(limit) => {
            let error = AttemptError::TimedOut(limit).to_string();
            let fault = Fault {
                reason: "timed_out",
                error,
            };
            by_the_rules(fault, "timed_out", tries, chance)
        }
        Ended::Undecodable(error) => Verdict::DeadLetter {
            fault: Fault {
                reason: "undecodable",
                error,
            },
        },
        Ended::UnknownType(name) => Verdict::DeadLetter { fault: unknown(name) },
        Ended::OtherType { name, wanted } => Verdict::DeadLetter {
            fault: other_type(name, wanted),
        },
        Ended::Expired => Verdict::DeadLetter {
            fault: expired(format!("it expired before its attempt {} began", tries.attempt)),
        },
        Ended::Poison { starts } => Verdict::DeadLetter { fault: poison(starts) },
        Ended::Interrupted => Verdict::GiveBack,
    }
}

/// What the error itself asks for comes first.
fn failed(error: &(dyn std::error::Error + 'static), tries: Tries, chance: f64) -> Verdict {
    let mut fault = Fault {
        reason: "failed",
        error: error::text(error),
    };
    match error::directive(error) {
        Some(error::Directive::Reject) => {
            fault.reason = "rejected";
            Verdict::DeadLetter { fault }
        }
        Some(error::Directive::RetryIn(wait)) => retry_or_bury(fault, tries, tries.policy, Some(wait), chance),
        None => by_the_rules(fault, "rejected", tries, chance),
    }
}

/// Then what the application's rules say of such failures, then the policy. `never`: the reason of a failure that is not tried again by a rule.
fn by_the_rules(fault: Fault, never: &'static str, tries: Tries, chance: f64) -> Verdict {
    match tries.rule {
        Some(Retry::Never) => Verdict::DeadLetter {
            fault: Fault { reason: never, ..fault },
        },
        Some(Retry::After(wait)) => retry_or_bury(fault, tries, tries.policy, Some(wait), chance),
        Some(Retry::With(policy)) => retry_or_bury(fault, tries, policy, None, chance),
        Some(Retry::ByPolicy) | None => retry_or_bury(fault, tries, tries.policy, None, chance),
    }
}

fn retry_or_bury(fault: Fault, tries: Tries, policy: RetryPolicy, wait: Option<Duration>, chance: f64) -> Verdict {
    if tries.was_last(policy) {
        return Verdict::DeadLetter { fault };
    }
    let after = wait.unwrap_or_else(|| policy.backoff().wait(tries.attempt, chance));
    if tries.is_expired_after(after) {
        let error = format!("it expires before its next attempt; the last one: {}", fault.error);
        return Verdict::DeadLetter { fault: expired(error) };
    }
    Verdict::Retry { after, fault }
}

fn expired(error: String) -> Fault {
    Fault {
        reason: "expired",
        error,
    }
}

fn poison(starts: u32) -> Fault {
    Fault {
        reason: "poison",
        error: format!(
            "the job was started {starts} times beside nothing else, and each time its worker ended without an answer"
        ),
    }
}

fn unknown(name: Option<Text>) -> Fault {
    Fault {
        reason: "unknown_type",
        error: match name {
            Some(name) => format!("no handler is registered for the job `{name}`"),
            None => "the message has no `type`, so there is no telling which job it is".to_owned(),
        },
    }
}

fn other_type(name: Option<String>, wanted: &str) -> Fault {
    match name {
        Some(name) => Fault {
            error: format!("the job is a `{name}`, and this program fetches the jobs `{wanted}`"),
            ..unknown(None)
        },
        None => unknown(None),
    }
}

#[cfg(test)]
mod tests;
