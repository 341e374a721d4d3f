//! The rules for names that go on the wire, as `const` functions so that a bad literal does not compile.

/// The longest queue name in bytes. AMQP allows 255 for a routing key; the rest is kept for the names that Leveret
/// derives from the queue's own (`mail.dead`) and for the prefix of a delay.
pub const MAX_QUEUE_NAME: usize = 180;

/// The longest job name and job id in bytes: both travel as AMQP short strings.
pub const MAX_SHORT_STRING: usize = 255;

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no character.
    Empty,
    /// The name is longer than AMQP, or the names derived from it, allow.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The name contains a control character (a byte below 0x20, or 0x7f).
    ControlCharacter,
    /// The name begins with `amq.`, which RabbitMQ keeps for itself.
    Reserved,
}

impl NameError {
    /// The reason as a fixed sentence, usable in a `const` panic.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            NameError::Empty => "the name is empty",
            NameError::TooLong { limit: MAX_QUEUE_NAME } => "the name is longer than 180 bytes",
            NameError::TooLong { .. } => "the name is longer than 255 bytes",
            NameError::ControlCharacter => "the name contains a control character",
            NameError::Reserved => "names that begin with `amq.` belong to RabbitMQ",
        }
    }
}

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for NameError {}

impl From<std::convert::Infallible> for NameError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Checks a queue name.
pub(crate) const fn check_queue(name: &str) -> Result<(), NameError> {
    let bytes = name.as_bytes();
    if bytes.len() >= 4 && bytes[0] == b'a' && bytes[1] == b'm' && bytes[2] == b'q' && bytes[3] == b'.' {
        return Err(NameError::Reserved);
    }
    check(bytes, MAX_QUEUE_NAME)
}

/// Checks anything that travels as an AMQP short string: job names, ids, correlation ids.
pub(crate) const fn check_short_string(value: &str) -> Result<(), NameError> {
    check(value.as_bytes(), MAX_SHORT_STRING)
}

const fn check(bytes: &[u8], limit: usize) -> Result<(), NameError> {
    if bytes.is_empty() {
        return Err(NameError::Empty);
    }
    if bytes.len() > limit {
        return Err(NameError::TooLong { limit });
    }
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] < 0x20 || bytes[at] == 0x7f {
            return Err(NameError::ControlCharacter);
        }
        at += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_for_the_reason_they_break() {
        let long = "q".repeat(MAX_QUEUE_NAME + 1);
        for (name, expected) in [
            ("mail", Ok(())),
            ("eu.mail / häh?", Ok(())),
            ("", Err(NameError::Empty)),
            ("amq.gen", Err(NameError::Reserved)),
            ("amqueue", Ok(())),
            ("two\nlines", Err(NameError::ControlCharacter)),
            (long.as_str(), Err(NameError::TooLong { limit: MAX_QUEUE_NAME })),
        ] {
            assert_eq!(check_queue(name), expected, "{name:?}");
        }
        assert_eq!(check_short_string("amq.x"), Ok(()));
    }
}
