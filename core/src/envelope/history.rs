//! What became of a job's attempts so far: [`History`]. It travels in one header, and stays within a budget.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::headers;
use super::republish::{Failure, shortened};
use crate::message::{HeaderValue, Headers, Message};

/// The longest history in bytes. With the record of the last failure it stays within what [`Limits`](super::Limits) leave of a frame.
const BUDGET: usize = 8_192;

/// The longest error text of one attempt in bytes. The last failure's text is in a header of its own, at greater length.
const MAX_ERROR: usize = 500;

/// The longest reason, in bytes: ours are one word.
const MAX_REASON: usize = 32;

/// The longest name of a worker, in bytes.
const MAX_WORKER: usize = 100;

/// The failed attempts of a job, oldest first: which attempt, why, when, and in which worker. Nothing of the job itself.
///
/// It is bounded (8 KiB): the first failure stays, and of the others the oldest go. So between the first and the second there may be a gap,
/// which the numbers of the attempts show. Handlers read it from `Context::history`; a dead letter keeps it.
///
/// ```
/// use leveret::Message;
/// use leveret::envelope::{Failure, History, Incoming, Republish, republish};
///
/// # let mut message = Message { body: b"{}".as_slice().into(), ..Message::default() };
/// for error in ["no route to host", "no route to host", "connection refused"] {
///     let incoming = Incoming::read(&message)?;
///     let failure = Failure {
///         reason: "failed",
///         error: error.to_owned(),
///         queue: "mail".to_owned(),
///         worker: "mailer-1".to_owned(),
///         at: std::time::SystemTime::now(),
///     };
///     message = republish(&message, &incoming.id, incoming.attempt, &Republish::Retry { failure });
/// }
///
/// let history = History::read(&message);
/// let told: Vec<_> = history.attempts().iter().map(|past| (past.attempt, past.error.as_str())).collect();
/// assert_eq!(told, [(1, "no route to host"), (2, "no route to host"), (3, "connection refused")]);
/// # Ok::<(), leveret::envelope::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    attempts: Vec<PastAttempt>,
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PastAttempt {
    /// Which run of the job it was; the first is 1. A redriven job begins to count anew.
    pub attempt: u32,
    /// Why it failed, in one word, as in [`headers::FAILURE_REASON`].
    pub reason: String,
    /// The error's text, shortened to 500 bytes.
    #[serde(default)]
    pub error: String,
    /// The worker that ran it, shortened to 100 bytes.
    #[serde(default)]
    pub worker: String,
    /// When it ended, to the millisecond.
    #[serde(with = "millis")]
    pub at: SystemTime,
}

impl History {
    /// The history in a message's headers. What is not there or cannot be read is none: it is a record for people, and nothing is decided by it.
    #[must_use]
    pub fn read(message: &Message) -> Self {
        Self::of(&message.properties.headers)
    }

    fn of(table: &Headers) -> Self {
        let text = table.get(headers::HISTORY).and_then(HeaderValue::as_text);
        let attempts = text.and_then(|text| serde_json::from_str(text).ok());
        let mut attempts: Vec<PastAttempt> = attempts.unwrap_or_default();
        // Whoever wrote them: the first and the newest shall fit, whatever is in them.
        for past in &mut attempts {
            shorten(&mut past.reason, MAX_REASON);
            shorten(&mut past.error, MAX_ERROR);
            shorten(&mut past.worker, MAX_WORKER);
        }
        Self { attempts }
    }

    /// The failed attempts, oldest first.
    #[must_use]
    pub fn attempts(&self) -> &[PastAttempt] {
        &self.attempts
    }

    /// The latest of them.
    #[must_use]
    pub fn last(&self) -> Option<&PastAttempt> {
        self.attempts.last()
    }

    /// Whether no attempt has failed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Adds a failed attempt to the history in a header table.
    pub(super) fn add(table: &mut Headers, attempt: u32, failure: &Failure) {
        let mut history = Self::of(table);
        history.attempts.push(PastAttempt {
            attempt,
            reason: failure.reason.to_owned(),
            error: shortened(&failure.error, MAX_ERROR).to_owned(),
            worker: shortened(&failure.worker, MAX_WORKER).to_owned(),
            at: failure.at,
        });
        history.write(table, BUDGET);
    }

    /// Makes the history in a header table shorter by so many bytes, down to nothing.
    pub(super) fn shorten(table: &mut Headers, excess: usize) {
        let length = table.get(headers::HISTORY).and_then(HeaderValue::as_text).map(str::len);
        if let Some(length) = length {
            Self::of(table).write(table, length.saturating_sub(excess));
        }
    }

    fn write(mut self, table: &mut Headers, budget: usize) {
        table.remove(headers::HISTORY);
        self.cut(budget);
        // What cannot be written is left out: plain numbers and texts always can.
        if let (false, Ok(text)) = (self.attempts.is_empty(), serde_json::to_string(&self.attempts)) {
            table.insert(headers::HISTORY.to_owned(), text.into());
        }
    }

    /// Leaves out attempts until the others take no more than `budget` bytes: the oldest but the first, and the first last. Each is
    /// written once to learn its length: a foreign message may bring thousands.
    fn cut(&mut self, budget: usize) {
        // Each has a comma behind it, or the closing bracket.
        let length = |past: &PastAttempt| serde_json::to_string(past).map_or(0, |text| text.len() + 1);
        let lengths: Vec<usize> = self.attempts.iter().map(length).collect();
        let mut total = 1 + lengths.iter().sum::<usize>();
        let mut gone = 0;
        for length in lengths.iter().skip(1) {
            if total <= budget {
                break;
            }
            total -= length;
            gone += 1;
        }
        if total > budget {
            self.attempts.clear();
        } else if gone > 0 {
            self.attempts.drain(1..=gone);
        }
    }
}

fn shorten(text: &mut String, limit: usize) {
    text.truncate(shortened(text, limit).len());
}

/// A time as milliseconds since the Unix epoch.
mod millis {
    use super::{Duration, SystemTime, UNIX_EPOCH};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        serializer.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let millis = u64::deserialize(deserializer)?;
        UNIX_EPOCH
            .checked_add(Duration::from_millis(millis))
            .ok_or_else(|| de::Error::custom("a time out of range"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(error: &str, at: u64) -> Failure {
        Failure {
            reason: "failed",
            error: error.to_owned(),
            queue: "mail".to_owned(),
            worker: "w1".to_owned(),
            at: UNIX_EPOCH + Duration::from_millis(at),
        }
    }

    fn length(table: &Headers) -> usize {
        table[headers::HISTORY].as_text().expect("text").len()
    }

    #[test]
    fn the_header_is_this_json() {
        let mut table = Headers::new();
        History::add(&mut table, 1, &failure("no \"route\"", 1_700_000_000_123));
        assert_eq!(
            table[headers::HISTORY].as_text(),
            Some(r#"[{"attempt":1,"reason":"failed","error":"no \"route\"","worker":"w1","at":1700000000123}]"#)
        );
    }

    #[test]
    fn the_first_failure_stays_and_the_oldest_of_the_rest_go() {
        let mut table = Headers::new();
        for attempt in 1..=200 {
            History::add(&mut table, attempt, &failure(&"x".repeat(2_000), u64::from(attempt)));
            assert!(length(&table) <= BUDGET);
        }

        let history = History::of(&table);
        let numbers: Vec<u32> = history.attempts().iter().map(|past| past.attempt).collect();
        let latest = 201 - u32::try_from(numbers.len() - 1).expect("few");
        assert_eq!(numbers[0], 1);
        assert_eq!(numbers[1..], (latest..=200).collect::<Vec<_>>());
        assert!(numbers.len() > 10, "{numbers:?}");
        assert!(history.attempts().iter().all(|past| past.error.len() == MAX_ERROR));
    }

    #[test]
    fn the_first_and_the_last_fit_however_much_their_text_grows_in_json() {
        let mut table = Headers::new();
        for attempt in 1..=3 {
            let mut worst = failure(&"\u{1}".repeat(2_000), u64::MAX / 4);
            worst.worker = "\u{1}".repeat(2_000);
            History::add(&mut table, attempt, &worst);
        }
        let history = History::of(&table);
        assert_eq!(history.attempts().first().map(|past| past.attempt), Some(1));
        assert_eq!(history.last().map(|past| past.attempt), Some(3));
    }

    #[test]
    fn what_others_wrote_does_not_push_out_the_newest_nor_takes_long_to_cut() {
        // Given histories that no Leveret has written: one of a single endless text, one of thousands of attempts
        let endless = format!(
            r#"[{{"attempt":7,"reason":"{0}","error":"{0}","at":1}}]"#,
            "x".repeat(30_000)
        );
        let many = format!("[{}]", vec![r#"{"attempt":7,"reason":"","at":1}"#; 3_900].join(","));
        for (text, most) in [(endless, 2), (many, 200)] {
            let mut table = Headers::from([(headers::HISTORY.to_owned(), text.into())]);
            // When another attempt fails
            History::add(&mut table, 8, &failure("boom", 2));
            // Then both the first and the newest are told
            let history = History::of(&table);
            let numbers: Vec<u32> = history.attempts().iter().map(|past| past.attempt).collect();
            assert_eq!((numbers.first(), numbers.last()), (Some(&7), Some(&8)));
            assert!(numbers.len() <= most && length(&table) <= BUDGET, "{numbers:?}");
        }
    }

    #[test]
    fn a_history_is_made_shorter_down_to_nothing() {
        let mut table = Headers::new();
        for attempt in 1..=5 {
            History::add(&mut table, attempt, &failure("boom", 0));
        }
        let numbers =
            |table: &Headers| -> Vec<u32> { History::of(table).attempts().iter().map(|past| past.attempt).collect() };
        let mut seen = vec![numbers(&table)];
        while table.contains_key(headers::HISTORY) {
            let before = length(&table);
            History::shorten(&mut table, 1);
            assert!(!table.contains_key(headers::HISTORY) || length(&table) < before);
            seen.push(numbers(&table));
        }
        assert_eq!(
            seen,
            [
                vec![1, 2, 3, 4, 5],
                vec![1, 3, 4, 5],
                vec![1, 4, 5],
                vec![1, 5],
                vec![1],
                vec![]
            ]
        );
        History::shorten(&mut table, 1);
    }

    #[test]
    fn what_cannot_be_read_is_no_history_and_what_a_later_version_adds_is_passed_over() {
        for text in ["", "null", "{}", "[1]", "[{\"attempt\":-1}]"] {
            let table = Headers::from([(headers::HISTORY.to_owned(), text.into())]);
            assert!(History::of(&table).is_empty(), "{text}");
        }
        assert!(History::of(&Headers::from([(headers::HISTORY.to_owned(), 7.into())])).is_empty());
        let mut table = Headers::from([(headers::HISTORY.to_owned(), "no history at all".into())]);
        History::shorten(&mut table, 1);
        assert!(table.is_empty(), "it is the first to go");
        let later = r#"[{"attempt":2,"reason":"failed","at":5,"host":"a"}]"#;
        let table = Headers::from([(headers::HISTORY.to_owned(), later.into())]);
        assert_eq!(History::of(&table).last().map(|past| past.attempt), Some(2));
    }
}
