//! What shall happen to a job whose attempt has ended. Pure: values in, values out; settling acts on it.

use std::time::Duration;

use leveret::Backoff;

use crate::error;
use crate::outcome::{AttemptError, Outcome};

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
    UnknownType(Option<String>),
    /// The message's type is not the job that was to be fetched.
    OtherType { name: Option<String>, wanted: &'static str },
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
    /// How many there are in all.
    pub(crate) max_attempts: u32,
    /// The waits in between.
    pub(crate) backoff: Backoff,
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
        Ended::Returned(Outcome::Snooze(after)) => Verdict::Snooze { after },
        Ended::Returned(Outcome::Cancel(reason)) => Verdict::Cancel { reason },
        Ended::Returned(Outcome::Failed(error)) => failed(&*error, tries, chance),
        Ended::Panicked(message) => {
            let error = AttemptError::Panicked(message).to_string();
            retry_or_bury(
                Fault {
                    reason: "panicked",
                    error,
                },
                tries,
                None,
                chance,
            )
        }
        Ended::TimedOut(limit) => {
            let error = AttemptError::TimedOut(limit).to_string();
            retry_or_bury(
                Fault {
                    reason: "timed_out",
                    error,
                },
                tries,
                None,
                chance,
            )
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
        Ended::Poison { starts } => Verdict::DeadLetter { fault: poison(starts) },
        Ended::Interrupted => Verdict::GiveBack,
    }
}

fn failed(error: &(dyn std::error::Error + 'static), tries: Tries, chance: f64) -> Verdict {
    let text = error::text(error);
    let failed = |error| Fault {
        reason: "failed",
        error,
    };
    match error::directive(error) {
        Some(error::Directive::Reject) => Verdict::DeadLetter {
            fault: Fault {
                reason: "rejected",
                error: text,
            },
        },
        Some(error::Directive::RetryIn(wait)) => retry_or_bury(failed(text), tries, Some(wait), chance),
        None => retry_or_bury(failed(text), tries, None, chance),
    }
}

fn retry_or_bury(fault: Fault, tries: Tries, wait: Option<Duration>, chance: f64) -> Verdict {
    if tries.attempt >= tries.max_attempts {
        return Verdict::DeadLetter { fault };
    }
    let after = wait.unwrap_or_else(|| tries.backoff.wait(tries.attempt, chance));
    Verdict::Retry { after, fault }
}

fn poison(starts: u32) -> Fault {
    Fault {
        reason: "poison",
        error: format!(
            "the job was started {starts} times beside nothing else, and each time its worker ended without an answer"
        ),
    }
}

fn unknown(name: Option<String>) -> Fault {
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
mod tests {
    use super::*;
    use crate::error::JobError;

    const SECOND: Duration = Duration::from_secs(1);

    /// Everything an attempt can end with, by a word for it.
    fn every_end() -> Vec<(&'static str, Ended)> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| Ended::Returned(Outcome::Failed(error));
        vec![
            ("done", Ended::Returned(Outcome::Done)),
            ("snooze", Ended::Returned(Outcome::Snooze(SECOND))),
            ("cancel", Ended::Returned(Outcome::Cancel("void".into()))),
            ("error", failed("boom".into())),
            ("reject", failed(JobError::reject("boom").into())),
            ("retry_in", failed(JobError::retry_in(9 * SECOND, "boom").into())),
            ("panic", Ended::Panicked("boom".into())),
            ("timeout", Ended::TimedOut(SECOND)),
            ("undecodable", Ended::Undecodable("boom".into())),
            ("unknown", Ended::UnknownType(Some("x".into()))),
            ("typeless", Ended::UnknownType(None)),
            (
                "other type",
                Ended::OtherType {
                    name: Some("x".into()),
                    wanted: "y",
                },
            ),
            ("poison", Ended::Poison { starts: 3 }),
            ("interrupted", Ended::Interrupted),
        ]
    }

    /// A verdict in one line: its word, its wait in seconds, its reason.
    fn told(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Ack => "ack".into(),
            Verdict::Retry { after, fault } => format!("retry {} {}", after.as_secs(), fault.reason),
            Verdict::DeadLetter { fault } => format!("dead {}", fault.reason),
            Verdict::Snooze { after } => format!("snooze {}", after.as_secs()),
            Verdict::Cancel { reason } => format!("cancel {reason}"),
            Verdict::GiveBack => "give back".into(),
        }
    }

    #[test]
    fn every_end_has_its_verdict_with_and_without_attempts_left() {
        // attempt 3 of 8, attempt 8 of 8 and attempt 9 of 8 (the limit was lowered meanwhile); backoff 2 s, 4 s, 8 s …
        let expected = [
            ("done", "ack", "ack"),
            ("snooze", "snooze 1", "snooze 1"),
            ("cancel", "cancel void", "cancel void"),
            ("error", "retry 4 failed", "dead failed"),
            ("reject", "dead rejected", "dead rejected"),
            ("retry_in", "retry 9 failed", "dead failed"),
            ("panic", "retry 4 panicked", "dead panicked"),
            ("timeout", "retry 4 timed_out", "dead timed_out"),
            ("undecodable", "dead undecodable", "dead undecodable"),
            ("unknown", "dead unknown_type", "dead unknown_type"),
            ("typeless", "dead unknown_type", "dead unknown_type"),
            ("other type", "dead unknown_type", "dead unknown_type"),
            ("poison", "dead poison", "dead poison"),
            ("interrupted", "give back", "give back"),
        ];
        for (attempt, last) in [(3, false), (8, true), (9, true)] {
            let tries = Tries {
                attempt,
                max_attempts: 8,
                backoff: Backoff::exponential("2s", "10m"),
            };
            for ((word, ended), (expected_word, more_left, none_left)) in every_end().into_iter().zip(expected) {
                assert_eq!(word, expected_word);
                let expected = if last { none_left } else { more_left };
                assert_eq!(
                    told(&verdict(ended, tries, 0.5)),
                    expected,
                    "{word} at attempt {attempt} of 8"
                );
            }
        }
    }

    #[test]
    fn the_fault_says_in_words_what_happened() {
        let tries = Tries {
            attempt: 1,
            max_attempts: 1,
            backoff: Backoff::none(),
        };
        for (word, expected) in [
            ("error", "boom"),
            ("reject", "the job was rejected: boom"),
            ("panic", "the handler panicked: boom"),
            ("timeout", "the attempt ran longer than its limit of 1s"),
            ("undecodable", "boom"),
            ("unknown", "no handler is registered for the job `x`"),
            ("other type", "the job is a `x`, and this program fetches the jobs `y`"),
        ] {
            let (_, ended) = every_end().into_iter().find(|(w, _)| *w == word).expect("in the list");
            match verdict(ended, tries, 0.0) {
                Verdict::DeadLetter { fault } => assert_eq!(fault.error, expected),
                other => panic!("{word} became {other:?}"),
            }
        }
    }

    #[test]
    fn a_first_and_only_attempt_is_never_retried() {
        let tries = Tries {
            attempt: 1,
            max_attempts: 1,
            backoff: Backoff::fixed("1s"),
        };
        for (word, ended) in every_end() {
            assert!(!matches!(verdict(ended, tries, 1.0), Verdict::Retry { .. }), "{word}");
        }
    }
}
