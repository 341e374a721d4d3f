//! What a message may weigh. Checked before anything is sent: a publish that is too large costs the whole channel and every
//! other publish in flight on it.

use std::fmt;

use crate::message::Message;

/// RabbitMQ's own limit of a frame in bytes, and so of everything in a message that is not its body.
pub const DEFAULT_FRAME_MAX: usize = 131_072;

/// The largest header frame in bytes of what waits in the delay ladder: at each hop the broker writes a record into it.
pub const MAX_DELAYED_HEADER: usize = DEFAULT_FRAME_MAX - 24 * 1024;

/// The sizes that a message must stay below.
///
/// ```
/// use leveret::Message;
/// use leveret::envelope::{Limits, TooLarge};
///
/// let mut limits = Limits::default();
/// limits.max_body = 1_000;
///
/// let message = Message { body: vec![b' '; 1_001].into(), ..Message::default() };
/// assert_eq!(limits.check(&message), Err(TooLarge::Body { size: 1_001, limit: 1_000 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest body in bytes. By default 16 MiB (RabbitMQ's `max_message_size` from 4.0 on) less 128 KiB.
    pub max_body: usize,
    /// The largest header frame in bytes: it cannot be split, so it must fit `frame_max` ([`DEFAULT_FRAME_MAX`]). By
    /// default 100,000, which leaves room for the record of a failure.
    pub max_header: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 16 * 1024 * 1024 - 128 * 1024,
            max_header: 100_000,
        }
    }
}

/// A message exceeds the [`Limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TooLarge {
    /// The body is too large.
    Body {
        /// Its size in bytes.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The properties and headers together are too large.
    Header {
        /// Their size in bytes.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body { size, limit } => write!(
                f,
                "the body has {size} bytes, {limit} are allowed; store the payload elsewhere and enqueue a reference to it"
            ),
            Self::Header { size, limit } => {
                write!(
                    f,
                    "properties and headers take {size} bytes, {limit} are allowed; send fewer or shorter headers"
                )
            }
        }
    }
}

impl std::error::Error for TooLarge {}

impl Limits {
    /// Checks a message.
    ///
    /// # Errors
    /// [`TooLarge`] with the part that is too large.
    pub fn check(&self, message: &Message) -> Result<(), TooLarge> {
        let size = message.body.len();
        if size > self.max_body {
            return Err(TooLarge::Body {
                size,
                limit: self.max_body,
            });
        }
        let size = message.header_size();
        if size > self.max_header {
            return Err(TooLarge::Header {
                size,
                limit: self.max_header,
            });
        }
        Ok(())
    }
}
