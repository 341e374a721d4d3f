//! Every end of an attempt against everything that may hold for its job.

use leveret::Backoff;

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
        ("expired", Ended::Expired),
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

/// An attempt of eight, with waits of half of 2 s, 4 s, 8 s … at even chances.
fn tries(attempt: u32) -> Tries {
    Tries {
        attempt,
        max_attempts: None,
        policy: RetryPolicy::new(8, Backoff::exponential("2s", "10m")),
        rule: None,
        wanted: None,
    }
}

/// What an application's rules may say; the policy is of 20 attempts, 60 s apart.
const RULES: [Option<Retry>; 5] = [
    None,
    Some(Retry::ByPolicy),
    Some(Retry::With(RetryPolicy::new(20, Backoff::fixed("60s")))),
    Some(Retry::After(Duration::from_secs(5))),
    Some(Retry::Never),
];

/// For each end: its verdict where attempts are left, and where none is.
const EXPECTED: [(&str, &str, &str); 15] = [
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
    ("expired", "dead expired", "dead expired"),
    ("poison", "dead poison", "dead poison"),
    ("interrupted", "give back", "give back"),
];

/// The failures that rules are asked about.
const RULED: [&str; 3] = ["error", "panic", "timeout"];

#[test]
fn every_end_has_its_verdict_with_and_without_attempts_left() {
    // Attempt 9 of 8: the limit was lowered meanwhile.
    for (attempt, last) in [(3, false), (8, true), (9, true)] {
        for ((word, ended), (expected_word, more_left, none_left)) in every_end().into_iter().zip(EXPECTED) {
            assert_eq!(word, expected_word);
            let expected = if last { none_left } else { more_left };
            let verdict = verdict(ended, tries(attempt), 0.5);
            assert_eq!(told(&verdict), expected, "{word} at attempt {attempt} of 8");
        }
    }
}

/// What the table above comes to under a rule, written a second time: by cases instead of by precedence.
fn under_a_rule(word: &str, plain: &str, attempt: u32, rule: Option<Retry>) -> String {
    if !RULED.contains(&word) {
        return plain.to_owned();
    }
    let reason = plain.rsplit(' ').next().expect("a word");
    match (rule, attempt) {
        (None | Some(Retry::ByPolicy), _) => plain.to_owned(),
        (Some(Retry::With(_)), 1..20) => format!("retry 60 {reason}"),
        (Some(Retry::After(_)), 1..8) => format!("retry 5 {reason}"),
        (Some(Retry::Never), _) if word == "error" => "dead rejected".to_owned(),
        _ => format!("dead {reason}"),
    }
}

#[test]
fn every_end_under_every_rule_with_every_time_that_is_left() {
    let mut combinations = 0;
    for (attempt, last) in [(3, false), (8, true), (19, true), (20, true)] {
        for rule in RULES {
            for wanted in [None, Some(0), Some(1), Some(4), Some(5), Some(9), Some(61)] {
                let tries = Tries {
                    rule,
                    wanted: wanted.map(Duration::from_secs),
                    ..tries(attempt)
                };
                for ((word, ended), (_, more_left, none_left)) in every_end().into_iter().zip(EXPECTED) {
                    let plain = if last { none_left } else { more_left };
                    // From the third attempt on the policy's wait at even chances is 4 s.
                    let on_time = under_a_rule(word, plain, attempt, rule);
                    let wait = on_time.split(' ').nth(1).and_then(|wait| wait.parse::<u64>().ok());
                    let expected = match (wait, wanted) {
                        (Some(wait), Some(wanted)) if wait >= wanted => "dead expired".to_owned(),
                        _ => on_time,
                    };
                    assert_eq!(told(&verdict(ended, tries, 0.5)), expected, "{word} with {tries:?}");
                    combinations += 1;
                }
            }
        }
    }
    assert_eq!(combinations, 4 * 5 * 7 * 15);
}

#[test]
fn the_number_that_was_set_for_one_job_wins_over_policies_and_rules() {
    for (attempt, set, rule, expected) in [
        (3, Some(3), None, "dead failed"),
        (2, Some(3), None, "retry 2 failed"),
        (10, Some(12), None, "retry 300 failed"),
        (3, Some(3), RULES[2], "dead failed"),
        (2, Some(3), RULES[2], "retry 60 failed"),
        (3, Some(3), RULES[3], "dead failed"),
        (1, Some(3), RULES[4], "dead rejected"),
    ] {
        let tries = Tries {
            max_attempts: set,
            rule,
            ..tries(attempt)
        };
        let failed = Ended::Returned(Outcome::Failed("boom".into()));
        assert_eq!(told(&verdict(failed, tries, 0.5)), expected, "{tries:?}");
    }
}

#[test]
fn the_fault_says_in_words_what_happened() {
    for (word, expected) in [
        ("error", "boom"),
        ("reject", "the job was rejected: boom"),
        ("panic", "the handler panicked: boom"),
        ("timeout", "the attempt ran longer than its limit of 1s"),
        ("undecodable", "boom"),
        ("unknown", "no handler is registered for the job `x`"),
        ("other type", "the job is a `x`, and this program fetches the jobs `y`"),
        ("expired", "it expired before its attempt 8 began"),
    ] {
        assert_eq!(fault_of(word, tries(8)), expected);
    }
    let nearly_expired = Tries {
        wanted: Some(SECOND),
        ..tries(1)
    };
    for (word, expected) in [
        (
            "retry_in",
            "it expires before its next attempt; the last one: the job asks to be tried again in 9s: boom",
        ),
        ("snooze", "it was put off, and expires before it would come again"),
    ] {
        assert_eq!(fault_of(word, nearly_expired), expected);
    }
}

/// The words of a dead letter.
fn fault_of(word: &str, tries: Tries) -> String {
    let (_, ended) = every_end().into_iter().find(|(w, _)| *w == word).expect("in the list");
    match verdict(ended, tries, 0.0) {
        Verdict::DeadLetter { fault } => fault.error,
        other => panic!("{word} became {other:?}"),
    }
}

#[test]
fn a_first_and_only_attempt_is_never_retried() {
    for (word, ended) in every_end() {
        let only = Tries {
            policy: RetryPolicy::new(1, Backoff::fixed("1s")),
            ..tries(1)
        };
        assert!(!matches!(verdict(ended, only, 1.0), Verdict::Retry { .. }), "{word}");
    }
}
