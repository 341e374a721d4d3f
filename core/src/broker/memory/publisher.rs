//! The in-memory [`Publisher`].

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::hub::Hub;
use super::timer::Timer;
use crate::broker::{Answer, BrokerError, Destination, Publisher};
use crate::message::Message;

pub(super) struct MemoryPublisher {
    hub: Arc<Hub>,
    channel: u64,
    timer: Timer,
}

impl MemoryPublisher {
    pub(super) fn new(hub: Arc<Hub>, channel: u64) -> Self {
        Self {
            hub,
            channel,
            timer: Timer::default(),
        }
    }
}

impl Publisher for MemoryPublisher {
    fn publish(&mut self, tag: u64, destination: &Destination, message: &Message) -> Result<(), BrokerError> {
        self.hub
            .with(|world| world.publish(self.channel, tag, destination, message));
        Ok(())
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        loop {
            let (polled, due) = self.hub.with(|world| world.poll_answer(self.channel, cx));
            if polled.is_ready() {
                return polled;
            }
            ready!(self.timer.poll_until(due, self.hub.clock, cx));
        }
    }
}

impl Drop for MemoryPublisher {
    fn drop(&mut self) {
        self.hub.with(|world| world.drop_publisher(self.channel));
    }
}

impl fmt::Debug for MemoryPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPublisher")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
