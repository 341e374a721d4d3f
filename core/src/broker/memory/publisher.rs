//! The in-memory [`Publisher`].

use std::fmt;
use std::task::{Context, Poll, ready};

use super::refusal;
use super::session::Line;
use super::timer::Timer;
use crate::broker::{Answer, BrokerError, Destination, Publisher};
use crate::message::Message;
use crate::name::MAX_SHORT_STRING;

pub(super) struct MemoryPublisher {
    line: Line,
    channel: u64,
    timer: Timer,
}

impl MemoryPublisher {
    pub(super) fn new(line: Line, channel: u64) -> Self {
        Self {
            line,
            channel,
            timer: Timer::default(),
        }
    }
}

impl Publisher for MemoryPublisher {
    fn publish(&mut self, tag: u64, destination: &Destination, message: &Message) -> Result<(), BrokerError> {
        check(destination, message)?;
        self.line
            .hub
            .with(|world| world.publish(self.channel, tag, destination, message));
        Ok(())
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        loop {
            let (polled, due) = self.line.hub.with(|world| world.poll_answer(self.channel, cx));
            if polled.is_ready() {
                return polled;
            }
            ready!(self.timer.poll_until(due, self.line.hub.clock, cx));
        }
    }
}

/// What AMQP cannot carry is refused here, as by a client of the real broker.
fn check(destination: &Destination, message: &Message) -> Result<(), BrokerError> {
    let names = [&destination.exchange, &destination.routing_key];
    let p = &message.properties;
    let texts = [
        &p.message_id,
        &p.kind,
        &p.content_type,
        &p.content_encoding,
        &p.correlation_id,
        &p.reply_to,
        &p.app_id,
    ];
    let texts = texts.into_iter().flatten().chain(p.headers.keys()).chain(names);
    match texts.map(String::len).find(|length| *length > MAX_SHORT_STRING) {
        Some(length) => Err(refusal::too_long(length)),
        None => Ok(()),
    }
}

impl Drop for MemoryPublisher {
    fn drop(&mut self) {
        self.line.hub.with(|world| world.drop_publisher(self.channel));
    }
}

impl fmt::Debug for MemoryPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPublisher")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
