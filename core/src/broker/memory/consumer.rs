//! The in-memory [`Consumer`].

use std::fmt;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;

use super::fault::{Fault, FaultPoint, Moment};
use super::session::Line;
use super::state::Settled;
use super::timer::Timer;
use crate::broker::{BrokerError, Consumer, ConsumerEvent, Lease, Settlement};

pub(super) struct MemoryConsumer {
    line: Line,
    channel: u64,
    collected: Vec<Settled>,
    timer: Timer,
}

impl MemoryConsumer {
    pub(super) fn new(line: Line, channel: u64) -> Self {
        Self {
            line,
            channel,
            collected: Vec::new(),
            timer: Timer::default(),
        }
    }

    fn fault(&self, point: FaultPoint) -> Fault {
        self.line.hub.with(|world| world.fault(point))
    }

    /// Sends what was collected, unless the fault strikes before.
    fn send(&mut self, fault: Fault) {
        let (channel, settled) = (self.channel, std::mem::take(&mut self.collected));
        self.line.hub.with(|world| {
            if !world.strike_consumer(channel, fault, Moment::Before) {
                world.settle(channel, settled);
                world.strike_consumer(channel, fault, Moment::After);
            }
        });
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ConsumerEvent> {
        loop {
            let (polled, due) = self.line.hub.with(|world| world.poll_event(self.channel, cx));
            if polled.is_ready() {
                return polled;
            }
            ready!(self.timer.poll_until(due, self.line.hub.clock, cx));
        }
    }

    fn settle(&mut self, lease: Lease, settlement: Settlement) -> Result<(), Lease> {
        let Some(tag) = lease.tag_at(self.channel) else {
            return Err(lease);
        };
        self.collected.push((tag, settlement));
        match self.fault(FaultPoint::Settle) {
            Fault::None => {}
            // Struck in the middle of a turn: what was settled up to here may have reached the broker, or not.
            fault => self.send(fault),
        }
        Ok(())
    }

    fn flush(&mut self) {
        if !self.collected.is_empty() {
            let fault = self.fault(FaultPoint::Flush);
            self.send(fault);
        }
    }

    async fn cancel(&mut self) -> Result<(), BrokerError> {
        let channel = self.channel;
        self.line
            .call(FaultPoint::Cancel, |world, _| world.cancel(channel))
            .await
    }

    async fn close(mut self: Box<Self>) {
        // A blocked connection reads nothing: past the deadline the channel is gone without what waited in it.
        if self.line.unblocked().await.is_ok() {
            let fault = self.fault(FaultPoint::Close);
            self.send(fault);
        }
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.line.hub.with(|world| world.drop_consumer(self.channel));
    }
}

impl fmt::Debug for MemoryConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConsumer")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
