//! Consuming and publishing on one channel: the seam's way of fencing.

use super::{Consumer, Publisher};

/// One channel that consumes a queue and publishes with confirms. Its two halves stand and fall together: while something that it
/// publishes is confirmed, the broker has not given its place as a consumer away because of a lost channel. That is what a leader needs
/// whose leadership is to be the active consumer of a queue.
///
/// Closing the consumer closes the channel. One task owns both halves.
#[derive(Debug)]
#[non_exhaustive]
pub struct Duplex {
    /// The half that receives.
    pub consumer: Box<dyn Consumer>,
    /// The half that publishes.
    pub publisher: Box<dyn Publisher>,
}

impl Duplex {
    /// Two halves of one channel.
    #[must_use]
    pub fn new(consumer: Box<dyn Consumer>, publisher: Box<dyn Publisher>) -> Self {
        Self { consumer, publisher }
    }
}
