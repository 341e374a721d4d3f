//! What a dead letter says of itself: [`DeadLetterRecord`]. Pure.

use std::fmt;
use std::str::FromStr;

use super::death::Death;
use super::fingerprint::{Fingerprint, mixed};
use crate::envelope::headers;
use crate::message::{HeaderValue, Message};

/// What names a dead letter: the job's id. A letter without one (a foreign producer set none, and no worker has republished it)
/// is named by a `~` and a digest of what it is.
///
/// It need not be the only one of its name: an interrupted redrive leaves a copy with the same id. What is asked of one id is
/// asked of all letters that have it.
///
/// ```
/// use leveret::LetterId;
///
/// let id: LetterId = "invoice-17".into();
/// assert_eq!(id.as_str(), "invoice-17");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterId(String);

impl LetterId {
    /// The id of the letter that this message is.
    pub(super) fn of(message: &Message) -> Self {
        match message.properties.message_id.as_deref() {
            Some(id) if !id.is_empty() => Self(id.to_owned()),
            _ => {
                let kind = message.properties.kind.as_deref().unwrap_or_default();
                Self(format!("~{:016x}", mixed(&[kind.as_bytes(), &message.body])))
            }
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for LetterId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for LetterId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<crate::JobId> for LetterId {
    fn from(id: crate::JobId) -> Self {
        Self(id.into())
    }
}

impl From<&crate::JobId> for LetterId {
    fn from(id: &crate::JobId) -> Self {
        Self(id.as_str().to_owned())
    }
}

impl FromStr for LetterId {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a dead letter without its body: which job it is, and how it came to be dead.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DeadLetterRecord {
    /// What names it.
    pub id: LetterId,
    /// The job's name on the wire (the property `type`); `None` where its producer set none.
    pub job: Option<String>,
    /// The attempt that was the last; the first is 1.
    pub attempt: u32,
    /// How many times it was republished.
    pub hop: u32,
    /// How many times it was sent back to work from among the dead.
    pub redriven: u32,
    /// The size of its body in bytes.
    pub size: usize,
    /// Why it is here.
    pub death: Death,
}

impl DeadLetterRecord {
    /// Reads what a message says. Nothing in it can make that fail: what does not make sense counts as not said.
    ///
    /// ```
    /// use leveret::{DeadLetterRecord, Message};
    ///
    /// let mut message = Message::default();
    /// message.properties.message_id = Some("welcome-7".into());
    /// message.properties.headers.insert("leveret-failure-reason".to_owned(), "panicked".into());
    ///
    /// let record = DeadLetterRecord::read(&message);
    /// assert_eq!((record.id.as_str(), record.death.reason.as_str()), ("welcome-7", "panicked"));
    /// ```
    #[must_use]
    pub fn read(message: &Message) -> Self {
        let properties = &message.properties;
        Self {
            id: LetterId::of(message),
            job: properties
                .kind
                .clone()
                .filter(|kind| !kind.is_empty())
                .map(String::from),
            attempt: number(message, headers::ATTEMPT).unwrap_or(1).max(1),
            hop: number(message, headers::HOP).unwrap_or(0),
            redriven: number(message, headers::REDRIVEN).unwrap_or(0),
            size: message.body.len(),
            death: Death::read(&properties.headers),
        }
    }

    /// What it has in common with others that died of the same.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let error = self.death.error.as_deref().unwrap_or(&self.death.reason);
        Fingerprint::of(self.job.as_deref(), error)
    }
}

fn number(message: &Message, header: &str) -> Option<u32> {
    let value = message.properties.headers.get(header).and_then(HeaderValue::as_int)?;
    u32::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: Option<&str>, body: &'static [u8]) -> Message {
        let mut message = Message {
            body: body.into(),
            ..Message::default()
        };
        message.properties.message_id = id.map(Into::into);
        message
    }

    #[test]
    fn a_letter_without_an_id_is_named_by_what_it_is() {
        let (one, other) = (letter(None, b"one"), letter(Some(""), b"other"));
        assert_eq!(LetterId::of(&one), LetterId::of(&one.clone()));
        assert_ne!(LetterId::of(&one), LetterId::of(&other));
        assert!(LetterId::of(&one).as_str().starts_with('~'));
        assert_eq!(LetterId::of(&letter(Some("7"), b"one")).as_str(), "7");
    }

    #[test]
    fn headers_that_make_no_sense_count_as_not_said() {
        let mut message = letter(Some("7"), b"");
        let table = &mut message.properties.headers;
        table.insert(headers::ATTEMPT.to_owned(), "two".into());
        table.insert(headers::HOP.to_owned(), HeaderValue::Int(-1));
        table.insert(headers::REDRIVEN.to_owned(), HeaderValue::Int(i64::MAX));
        table.insert("x-death".to_owned(), "yes".into());

        let record = DeadLetterRecord::read(&message);

        assert_eq!((record.attempt, record.hop, record.redriven), (1, 0, 0));
        assert_eq!(record.death.reason, "unrecorded");
    }
}
