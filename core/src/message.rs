//! A message as it travels: bytes and properties, free of any AMQP library's types.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::text::Text;

/// The headers of a message, by name (at most 255 bytes, as AMQP has it).
pub type Headers = BTreeMap<String, HeaderValue>;

/// One value in a message's header table. AMQP's integer types of all widths meet in [`HeaderValue::Int`].
///
/// ```
/// use leveret::HeaderValue;
///
/// assert_eq!(HeaderValue::from("eu").as_text(), Some("eu"));
/// assert_eq!(HeaderValue::from(7).as_int(), Some(7));
/// let list = HeaderValue::List(vec![true.into(), 0.5.into()]);
/// assert!(list.encoded_size() <= 5 + 2 + 9);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HeaderValue {
    /// AMQP's void.
    Null,
    /// A boolean.
    Bool(bool),
    /// Any signed or unsigned integer; an unsigned one above `i64::MAX` is clamped to it.
    Int(i64),
    /// A float or a double.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes that are not valid UTF-8, or AMQP's byte array.
    Bytes(Vec<u8>),
    /// A point in time in seconds since the Unix epoch.
    Timestamp(u64),
    /// A list of values.
    List(Vec<HeaderValue>),
    /// A nested table.
    Table(Headers),
}

impl HeaderValue {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// About how many bytes the value takes in a header frame, its type octet included. Never less than it really does.
    #[must_use]
    pub fn encoded_size(&self) -> usize {
        match self {
            Self::Null => 1,
            Self::Bool(_) => 2,
            Self::Int(_) | Self::Float(_) | Self::Timestamp(_) => 9,
            Self::Text(text) => 5 + text.len(),
            Self::Bytes(bytes) => 5 + bytes.len(),
            Self::List(items) => 5 + items.iter().map(Self::encoded_size).sum::<usize>(),
            Self::Table(table) => 1 + table_size(table),
        }
    }
}

/// About how many bytes a header table takes on the wire.
#[must_use]
pub(crate) fn table_size(table: &Headers) -> usize {
    4 + table
        .iter()
        .map(|(name, value)| 1 + name.len() + value.encoded_size())
        .sum::<usize>()
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for HeaderValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for HeaderValue {
    fn from(value: i32) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<f64> for HeaderValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<u32> for HeaderValue {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<bool> for HeaderValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// The AMQP 0-9-1 properties of a message that Leveret reads, writes or carries along. `delivery_mode` is not among
/// them: every message that Leveret publishes is persistent.
#[derive(Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Properties {
    /// The job id.
    pub message_id: Option<Text>,
    /// The job name (the AMQP property `type`).
    pub kind: Option<Text>,
    /// The format of the body.
    pub content_type: Option<Text>,
    /// The encoding of the body, carried along for producers that set it.
    pub content_encoding: Option<Text>,
    /// An id that links jobs of one business transaction.
    pub correlation_id: Option<Text>,
    /// Where a foreign producer wants its answer; Leveret carries it along.
    pub reply_to: Option<Text>,
    /// The program that published the message.
    pub app_id: Option<Text>,
    /// When the message was made, in seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// The priority that a foreign producer set; Leveret carries it along.
    pub priority: Option<u8>,
    /// The header table.
    pub headers: Headers,
}

impl fmt::Debug for Properties {
    /// Shows the header names only: their values may be an application's secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Properties")
            .field("message_id", &self.message_id)
            .field("kind", &self.kind)
            .field("content_type", &self.content_type)
            .field("correlation_id", &self.correlation_id)
            .field("timestamp", &self.timestamp)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A message: a body and its properties.
///
/// ```
/// use leveret::Message;
/// use leveret::envelope::Incoming;
///
/// // All that a producer in another language has to set: a body and a `type`.
/// let mut message = Message { body: br#"{"user_id":7}"#.as_slice().into(), ..Message::default() };
/// message.properties.kind = Some("send_welcome".into());
///
/// let incoming = Incoming::read(&message)?;
/// assert_eq!((incoming.name.as_deref(), incoming.attempt), (Some("send_welcome"), 1));
/// assert!(!incoming.id.is_stable());
/// # Ok::<(), leveret::envelope::DecodeError>(())
/// ```
#[derive(Clone, PartialEq, Default)]
pub struct Message {
    /// The body, for a job its JSON.
    pub body: Bytes,
    /// Everything beside the body.
    pub properties: Properties,
}

impl Message {
    /// An upper bound of the size of the header frame that the properties make.
    #[must_use]
    pub fn header_size(&self) -> usize {
        let p = &self.properties;
        let texts = [
            &p.message_id,
            &p.kind,
            &p.content_type,
            &p.content_encoding,
            &p.correlation_id,
            &p.reply_to,
            &p.app_id,
        ];
        let texts: usize = texts.into_iter().flatten().map(|text| 1 + text.len()).sum();
        // 8 bytes of frame, 14 of class, weight, body size and flags, 8 of timestamp, 2 of delivery mode and priority.
        32 + texts + table_size(&p.headers)
    }

    /// The memory that the message holds, for the limits of the ledger.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len() + self.header_size()
    }
}

impl fmt::Debug for Message {
    /// Shows how long the body is, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("properties", &self.properties)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_neither_body_nor_header_values() {
        let mut message = Message {
            body: Bytes::from_static(b"{\"card\":4711}"),
            ..Message::default()
        };
        message.properties.headers.insert("token".into(), "s3cret".into());

        let shown = format!("{message:?}");

        assert!(!shown.contains("4711") && !shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("13 bytes") && shown.contains("token"), "{shown}");
    }
}
