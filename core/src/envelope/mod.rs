//! A job as it travels: the [`Envelope`] on the way out, [`Incoming`] on the way in, and what a republish keeps.

mod error;
pub mod headers;
mod history;
mod incoming;
mod limits;
mod outgoing;
mod republish;

pub use error::EnvelopeError;
pub use history::{History, PastAttempt};
pub use incoming::{DecodeError, Incoming};
pub use limits::{DEFAULT_FRAME_MAX, Limits, MAX_DELAYED_HEADER, TooLarge};
pub use outgoing::Envelope;
pub use republish::{Failure, Republish, fit_header, mark_resent, republish, set_due};
