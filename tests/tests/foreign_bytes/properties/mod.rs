//! What holds of every byte that comes from elsewhere. Each module has a `check` that takes any input and panics where
//! something does not hold: the fuzz targets (`fuzz/`) call it, and so does the suite `foreign_bytes`.
//!
//! # Layout
//!
//! - [`source`]: messages made of bytes.
//! - [`amqp`]: properties and headers as they come over the wire.
//! - [`message`]: a message read as a job, and published again for every reason.
//! - [`history`]: the record of attempts in its header.
//! - [`letter`]: dead letters as the inspector reads, carries and redrives them; [`line`]: lines to import.
//! - [`ladder`]: the routing keys of delays.
//! - [`url`]: broker URLs, and what they show of their passwords.
//! - [`worker`]: a whole worker that gets such a message.

pub mod amqp;
pub mod history;
pub mod ladder;
pub mod letter;
pub mod line;
pub mod message;
pub mod source;
pub mod url;
pub mod worker;

/// Stands for what must not show: a password, a job's body, the value of a header.
pub const MARKER: &str = "s3cret-mark";

/// Fails if `shown` holds what must not show.
pub fn keeps_secret(shown: &str) {
    assert!(!shown.contains(MARKER), "shows it: {shown}");
}
