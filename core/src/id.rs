//! The identity of a job: [`JobId`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{NameError, check_short_string};

/// The identity of a job: the AMQP property `message_id`. It stays the same through every retry, resend and dead letter, so it is
/// what a handler deduplicates by.
///
/// Ids that Leveret makes are UUIDs of version 7; an own id may be any text of 1 to 255 bytes without control characters.
///
/// ```
/// use leveret::JobId;
///
/// let own: JobId = "invoice-2024-17".parse()?;
/// assert_eq!(own.as_str(), "invoice-2024-17");
/// assert_eq!(JobId::random().as_str().len(), 36);
/// # Ok::<(), leveret::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId {
    text: String,
    stable: bool,
}

impl JobId {
    /// A new id: a UUID of version 7.
    #[must_use]
    pub fn random() -> Self {
        Self {
            text: uuid::Uuid::now_v7().to_string(),
            stable: true,
        }
    }

    /// An id for a message that came without one: it holds for this delivery only, until the first republish fixes it.
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
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        check_short_string(&text)?;
        Ok(Self { text, stable: true })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the id came with the message. `false`: the message had none, and a redelivery of it will have another.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.stable
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
        Self::new(text)
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
        Self::new(text)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.text
    }
}

impl AsRef<str> for JobId {
    fn as_ref(&self) -> &str {
        &self.text
    }
}
