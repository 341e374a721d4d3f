//! Which dead letters are meant: [`Filter`]. Pure.

use std::collections::BTreeSet;
use std::ops::Not;
use std::time::{Duration, SystemTime};

use super::death::DiedBy;
use super::fingerprint::Fingerprint;
use super::record::{DeadLetterRecord, LetterId};

/// Which dead letters are meant. Filters are put together with [`and`](Self::and), [`or`](Self::or) and `!`.
///
/// ```
/// use std::time::Duration;
/// use leveret::Filter;
///
/// let filter = Filter::job("send_welcome")
///     .and(Filter::reason("timed_out").or(Filter::error("connection reset")))
///     .and(!Filter::older_than(Duration::from_secs(86_400)));
/// # drop(filter);
/// ```
#[derive(Debug, Clone)]
pub struct Filter(Term);

#[derive(Debug, Clone)]
enum Term {
    All,
    Ids(BTreeSet<LetterId>),
    Job(Option<String>),
    Reason(String),
    /// In lower case.
    Error(String),
    Queue(String),
    OlderThan(Duration),
    ByBroker,
    Redriven(u32),
    Fingerprint(String),
    Both(Box<(Term, Term)>),
    Either(Box<(Term, Term)>),
    Not(Box<Term>),
}

impl Filter {
    /// Every letter.
    #[must_use]
    pub fn all() -> Self {
        Self(Term::All)
    }

    /// The letter with this id.
    #[must_use]
    pub fn id(id: impl Into<LetterId>) -> Self {
        Self::ids([id.into()])
    }

    /// The letters with these ids.
    #[must_use]
    pub fn ids(ids: impl IntoIterator<Item = impl Into<LetterId>>) -> Self {
        Self(Term::Ids(ids.into_iter().map(Into::into).collect()))
    }

    /// Letters of this job type, by its name on the wire.
    #[must_use]
    pub fn job(name: impl Into<String>) -> Self {
        Self(Term::Job(Some(name.into())))
    }

    /// Letters whose producer set no `type`.
    #[must_use]
    pub fn without_job() -> Self {
        Self(Term::Job(None))
    }

    /// Letters that died for this [reason](super::Death::reason).
    #[must_use]
    pub fn reason(reason: impl Into<String>) -> Self {
        Self(Term::Reason(reason.into()))
    }

    /// Letters whose error contains this text, in whichever case.
    #[must_use]
    pub fn error(text: impl AsRef<str>) -> Self {
        Self(Term::Error(text.as_ref().to_lowercase()))
    }

    /// Letters that died in this queue; of use among [lost](super::DeadLetters::lost) ones.
    #[must_use]
    pub fn queue(name: impl Into<String>) -> Self {
        Self(Term::Queue(name.into()))
    }

    /// Letters that died longer ago than this. One that does not say when did not.
    #[must_use]
    pub fn older_than(age: Duration) -> Self {
        Self(Term::OlderThan(age))
    }

    /// Letters that the broker moved by itself, and that have therefore no record of a worker's.
    #[must_use]
    pub fn moved_by_broker() -> Self {
        Self(Term::ByBroker)
    }

    /// Letters that were sent back to work at least so many times before.
    #[must_use]
    pub fn redriven_at_least(times: u32) -> Self {
        Self(Term::Redriven(times))
    }

    /// Letters with this fingerprint.
    #[must_use]
    pub fn fingerprint(fingerprint: &Fingerprint) -> Self {
        Self::fingerprint_named(fingerprint.short())
    }

    /// Letters with the fingerprint that has this [short name](Fingerprint::short).
    #[must_use]
    pub fn fingerprint_named(short: impl Into<String>) -> Self {
        Self(Term::Fingerprint(short.into()))
    }

    /// Letters that both filters mean.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Term::Both(Box::new((self.0, other.0))))
    }

    /// Letters that at least one of the two filters means.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(Term::Either(Box::new((self.0, other.0))))
    }

    /// Whether it means this letter, at this moment.
    #[must_use]
    pub fn matches(&self, record: &DeadLetterRecord, now: SystemTime) -> bool {
        self.0.matches(record, now)
    }
}

impl Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self(Term::Not(Box::new(self.0)))
    }
}

impl Term {
    fn matches(&self, record: &DeadLetterRecord, now: SystemTime) -> bool {
        let death = &record.death;
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&record.id),
            Self::Job(job) => record.job == *job,
            Self::Reason(reason) => death.reason == *reason,
            Self::Error(text) => {
                let error = death.error.as_deref().unwrap_or_default();
                error.to_lowercase().contains(text.as_str())
            }
            Self::Queue(queue) => death.queue.as_ref() == Some(queue),
            Self::OlderThan(age) => {
                let since = death.at.and_then(|at| now.duration_since(at).ok());
                since.is_some_and(|since| since > *age)
            }
            Self::ByBroker => matches!(death.by, DiedBy::Broker { .. }),
            Self::Redriven(times) => record.redriven >= *times,
            Self::Fingerprint(short) => record.fingerprint().short() == *short,
            Self::Both(terms) => terms.0.matches(record, now) && terms.1.matches(record, now),
            Self::Either(terms) => terms.0.matches(record, now) || terms.1.matches(record, now),
            Self::Not(term) => !term.matches(record, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::envelope::headers;
    use crate::message::{HeaderValue, Message};

    fn record() -> DeadLetterRecord {
        let mut message = Message::default();
        let properties = &mut message.properties;
        properties.message_id = Some("7".into());
        properties.kind = Some("send".into());
        for (name, value) in [
            (headers::FAILURE_REASON, "failed".into()),
            (headers::FAILURE_ERROR, "Mailbox 17 is away".into()),
            (headers::FAILURE_QUEUE, "mail".into()),
            (headers::FAILURE_AT, HeaderValue::Int(10_000)),
            (headers::REDRIVEN, HeaderValue::Int(2)),
        ] {
            properties.headers.insert(name.to_owned(), value);
        }
        DeadLetterRecord::read(&message)
    }

    #[test]
    fn each_criterion_means_what_it_says() {
        let (record, now) = (record(), UNIX_EPOCH + Duration::from_secs(70));
        let minute = Duration::from_secs(60);
        for (filter, expected) in [
            (Filter::all(), true),
            (Filter::id("7"), true),
            (Filter::ids(["8", "9"]), false),
            (Filter::job("send"), true),
            (Filter::without_job(), false),
            (Filter::reason("failed"), true),
            (Filter::reason("fail"), false),
            (Filter::error("MAILBOX"), true),
            (Filter::error("house"), false),
            (Filter::queue("mail"), true),
            (Filter::older_than(minute), false),
            (Filter::older_than(minute - Duration::from_nanos(1)), true),
            (Filter::moved_by_broker(), false),
            (Filter::redriven_at_least(2), true),
            (Filter::redriven_at_least(3), false),
            (
                Filter::fingerprint(&Fingerprint::of(Some("send"), "mailbox 1 is away")),
                false,
            ),
            (
                Filter::fingerprint(&Fingerprint::of(Some("send"), "Mailbox 1 is away")),
                true,
            ),
            (Filter::job("send").and(Filter::id("8")), false),
            (Filter::job("send").or(Filter::id("8")), true),
            (!Filter::all(), false),
        ] {
            assert_eq!(filter.matches(&record, now), expected, "{filter:?}");
        }
    }

    #[test]
    fn who_does_not_say_when_is_neither_old_nor_ever_gets_old() {
        let record = DeadLetterRecord::read(&Message::default());
        let filter = Filter::older_than(Duration::ZERO);
        assert!(!filter.matches(&record, SystemTime::now()));
        assert!((!filter).matches(&record, SystemTime::now()));
    }
}
