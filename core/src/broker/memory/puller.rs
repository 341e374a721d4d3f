//! The in-memory [`Puller`].

use std::fmt;

use async_trait::async_trait;

use super::fault::{Fault, FaultPoint, Moment};
use super::session::Line;
use super::state::Settled;
use crate::broker::{BrokerError, Delivery, Lease, Puller, Settlement};

pub(super) struct MemoryPuller {
    line: Line,
    channel: u64,
    queue: String,
    collected: Vec<Settled>,
}

impl MemoryPuller {
    pub(super) fn new(line: Line, channel: u64, queue: &str) -> Self {
        Self {
            line,
            channel,
            queue: queue.to_owned(),
            collected: Vec::new(),
        }
    }

    /// Sends what was collected, unless the fault strikes before.
    fn send(&mut self, fault: Fault) -> Result<(), BrokerError> {
        let (channel, settled) = (self.channel, std::mem::take(&mut self.collected));
        self.line.hub.with(|world| {
            if !world.strike_consumer(channel, fault, Moment::Before) {
                world.settle(channel, settled);
                world.strike_consumer(channel, fault, Moment::After);
            }
            world.loss_of(channel)
        })
    }
}

#[async_trait]
impl Puller for MemoryPuller {
    async fn pull(&mut self) -> Result<Option<Delivery>, BrokerError> {
        self.flush().await?;
        let (channel, queue) = (self.channel, self.queue.as_str());
        self.line
            .call(FaultPoint::Pull, |world, _| world.pull(channel, queue))
            .await
    }

    fn settle(&mut self, lease: Lease, settlement: Settlement) -> Result<(), Lease> {
        let Some(tag) = lease.tag_at(self.channel) else {
            return Err(lease);
        };
        self.collected.push((tag, settlement));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BrokerError> {
        if self.collected.is_empty() {
            return Ok(());
        }
        self.line.unblocked().await?;
        let fault = self.line.hub.with(|world| world.fault(FaultPoint::Flush));
        self.send(fault)
    }

    async fn close(mut self: Box<Self>) {
        // A blocked connection reads nothing: past the deadline the channel is gone without what waited in it.
        if self.line.unblocked().await.is_ok() {
            let fault = self.line.hub.with(|world| world.fault(FaultPoint::Close));
            let _ = self.send(fault);
        }
    }
}

impl Drop for MemoryPuller {
    fn drop(&mut self) {
        self.line.hub.with(|world| world.drop_consumer(self.channel));
    }
}

impl fmt::Debug for MemoryPuller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPuller")
            .field("channel", &self.channel)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
