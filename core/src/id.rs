//! The identity of a job: [`JobId`].

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::name::{NameError, check_short_string};
use crate::text::Text;

/// The identity of a job: the AMQP property `message_id`. It stays the same through every retry, resend and dead letter, so it is
/// what a handler deduplicates by.
///
/// Ids that Leveret makes are UUIDs of version 7; an own id may be any text of 1 to 255 bytes without control characters.
/// Two ids are equal if their texts are.
///
/// ```
/// use leveret::JobId;
///
/// let own: JobId = "invoice-2024-17".parse()?;
/// assert_eq!(own.as_str(), "invoice-2024-17");
/// assert!(own.is_stable());
///
/// let made = JobId::random();
/// assert_eq!(made.as_str().len(), 36);
/// assert_ne!(made, JobId::random());
/// # Ok::<(), leveret::NameError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId {
    text: Text,
    stable: bool,
}

impl JobId {
    /// A new id: a UUID of version 7.
    #[must_use]
    pub fn random() -> Self {
        Self {
            text: Text::from(
                &*uuid::Uuid::now_v7()
                    .hyphenated()
                    .encode_lower(&mut uuid::Uuid::encode_buffer()),
            ),
            stable: true,
        }
    }

    /// An id for a message that came without one: it holds for this delivery only, until the first republish fixes it.
    ///
    /// ```
    /// assert!(!leveret::JobId::temporary().is_stable());
    /// ```
    #[must_use]
    pub fn temporary() -> Self {
        Self {
            stable: false,
            ..Self::random()
        }
    }

    /// Uses a text as id.
    ///
    /// # Errors
    /// [`NameError`] if it is empty, longer than 255 bytes or contains a control character.
    ///
    /// ```
    /// use leveret::{JobId, NameError};
    ///
    /// assert_eq!(JobId::new(format!("invoice-{}", 17))?.as_str(), "invoice-17");
    /// assert_eq!(JobId::new(""), Err(NameError::Empty));
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        Self::of(text.into().into())
    }

    pub(crate) fn of(text: Text) -> Result<Self, NameError> {
        check_short_string(&text)?;
        Ok(Self { text, stable: true })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, to be kept.
    pub(crate) fn text(&self) -> &Text {
        &self.text
    }

    /// Whether the id came with the message. `false`: the message had none, and a redelivery of it will have another.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.stable
    }
}

// By the text alone: a temporary id becomes a stable one at the first republish, and stays the same id.
impl PartialEq for JobId {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for JobId {}

impl Hash for JobId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for JobId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for JobId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for JobId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::of(text.into())
    }
}

impl TryFrom<String> for JobId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<&str> for JobId {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        Self::of(text.into())
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.text.into()
    }
}

impl From<JobId> for Text {
    fn from(id: JobId) -> Self {
        id.text
    }
}

impl AsRef<str> for JobId {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_equal_when_it_becomes_stable() {
        let temporary = JobId::temporary();
        let stable = JobId::new(temporary.as_str()).expect("a uuid");

        assert!(stable.is_stable() && !temporary.is_stable());
        assert_eq!(temporary, stable);
        assert_eq!(temporary.cmp(&stable), Ordering::Equal);
        let seen = std::collections::HashSet::from([temporary]);
        assert!(seen.contains(&stable));
    }
}
