//! The in-memory [`Publisher`].

use std::fmt;
use std::task::{Context, Poll, ready};

use super::refusal;
use super::session::Line;
use super::timer::Timer;
use crate::broker::{Answer, BrokerError, Destination, Publisher};
use crate::envelope::DEFAULT_FRAME_MAX;
use crate::message::{HeaderValue, Headers, Message};
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
    let texts = texts.into_iter().flatten().map(|text| text.len());
    let lengths = texts.chain(names.map(String::len)).chain([longest_name(&p.headers)]);
    if let Some(length) = lengths.filter(|length| *length > MAX_SHORT_STRING).max() {
        return Err(refusal::too_long(length));
    }
    match message.header_size() > DEFAULT_FRAME_MAX {
        true => Err(refusal::too_large(DEFAULT_FRAME_MAX)),
        false => Ok(()),
    }
}

/// The length of the longest name in a header table and all that is nested in it.
fn longest_name(table: &Headers) -> usize {
    let names = table.iter().map(|(name, value)| name.len().max(longest_name_in(value)));
    names.max().unwrap_or(0)
}

fn longest_name_in(value: &HeaderValue) -> usize {
    match value {
        HeaderValue::Table(table) => longest_name(table),
        HeaderValue::List(items) => items.iter().map(longest_name_in).max().unwrap_or(0),
        _ => 0,
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
