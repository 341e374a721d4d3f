//! A job as it travels: the [`Envelope`] on the way out, [`Incoming`] on the way in, and what a republish keeps.

pub mod headers;
mod incoming;
mod limits;
mod outgoing;
mod republish;

pub use incoming::{DecodeError, Incoming};
pub use limits::{Limits, TooLarge};
pub use outgoing::{Envelope, EnvelopeError};
pub use republish::{Failure, Republish, republish};
