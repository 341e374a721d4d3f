//! The consumers that a dispatcher settles on: the open one, and those before it for as long as jobs of theirs are in hand.

use std::collections::{BTreeSet, VecDeque};
use std::task::{Context, Poll};

use leveret::broker::{ConsumerEvent, Lease, Settlement};

use crate::joined::{Intake, JoinedConsumer};

/// Each pause in consuming leaves one while its jobs wait for their successors. Of more than so many the oldest is given up: a channel costs
/// the broker something.
const MOST_RETIRED: usize = 8;

/// The right to settle a delivery, with the channel that it came on.
#[derive(Debug)]
pub(super) struct ChannelLease {
    channel: u64,
    lease: Lease,
}

/// Where a settlement went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// On the open channel.
    Open,
    /// On one that is on its way out.
    Retired,
    /// Nowhere: its channel is gone.
    Nowhere,
}

#[derive(Debug)]
struct Channel {
    number: u64,
    consumer: JoinedConsumer,
}

/// The channels of one queue. A cancelled consumer keeps its channel, because jobs that came on it can still be settled there.
#[derive(Debug, Default)]
pub(super) struct Channels {
    open: Option<Channel>,
    /// Whether the open consumer was told to stop: what it still brings goes back.
    halted: bool,
    /// The oldest first.
    retired: VecDeque<Channel>,
    last_number: u64,
    /// The connection that all of them belong to.
    generation: Option<u64>,
}

impl Channels {
    /// Moves on to a connection, or to none. `true`: the channels of the one before are gone.
    pub(super) fn follow(&mut self, generation: Option<u64>) -> bool {
        let moved = self.generation != generation;
        if moved {
            self.generation = generation;
            self.drop_all();
        }
        moved
    }

    /// Takes a new consumer into use.
    pub(super) fn open(&mut self, consumer: JoinedConsumer) {
        self.last_number += 1;
        self.halted = false;
        self.open = Some(Channel {
            number: self.last_number,
            consumer,
        });
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the open consumer may still bring something.
    pub(super) fn bring(&self) -> bool {
        self.open.as_ref().is_some_and(|channel| !channel.consumer.is_over())
    }

    /// How much the open consumer fetches.
    pub(super) fn prefetch(&self) -> Option<u16> {
        self.open.as_ref().map(|channel| channel.consumer.prefetch())
    }

    /// Whether the open consumer has as much as it may fetch.
    pub(super) fn is_full(&self) -> bool {
        self.open.as_ref().is_some_and(|channel| channel.consumer.is_full())
    }

    /// How much is settled and the broker does not know.
    pub(super) fn untold(&self) -> usize {
        let all = self.open.iter().chain(&self.retired);
        all.map(|channel| channel.consumer.untold()).sum()
    }

    /// Whether it is the open channel that a delivery came on.
    pub(super) fn is_of_the_open(&self, lease: &ChannelLease) -> bool {
        self.open.as_ref().is_some_and(|open| open.number == lease.channel)
    }

    /// Whether there is a channel of either kind.
    pub(super) fn are_there(&self) -> bool {
        self.open.is_some() || !self.retired.is_empty()
    }

    /// Whether a cancelled consumer's channel is kept.
    pub(super) fn keeps_a_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// What has come on the open channel.
    pub(super) fn intakes(&self) -> impl Iterator<Item = Intake> {
        self.open.iter().flat_map(|channel| channel.consumer.intakes())
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halted
    }

    /// Stops deliveries. Those under way still come, and are to be given back.
    pub(super) async fn halt(&mut self) -> Result<(), leveret::broker::BrokerError> {
        self.halted = true;
        self.cancel().await
    }

    /// Stops deliveries. Those under way still come.
    pub(super) async fn cancel(&mut self) -> Result<(), leveret::broker::BrokerError> {
        match &mut self.open {
            Some(channel) => channel.consumer.cancel().await,
            None => Ok(()),
        }
    }

    /// The next event of the open consumer.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ConsumerEvent> {
        match &mut self.open {
            Some(channel) => channel.consumer.poll_event(cx),
            None => Poll::Pending,
        }
    }

    /// Marks a lease as one of the open channel.
    pub(super) fn lease(&self, lease: Lease) -> ChannelLease {
        ChannelLease {
            channel: self.last_number,
            lease,
        }
    }

    /// Settles on the channel that the delivery came on, if that still is.
    pub(super) fn settle(&mut self, lease: ChannelLease, settlement: Settlement) -> Settled {
        let ChannelLease { channel: number, lease } = lease;
        let open = self.open.iter_mut().map(|channel| (channel, Settled::Open));
        let retired = self.retired.iter_mut().map(|channel| (channel, Settled::Retired));
        match open.chain(retired).find(|(channel, _)| channel.number == number) {
            Some((channel, settled)) => channel
                .consumer
                .settle(lease, settlement)
                .map_or(Settled::Nowhere, |()| settled),
            None => Settled::Nowhere,
        }
    }

    pub(super) fn flush(&mut self) {
        for channel in self.open.iter_mut().chain(&mut self.retired) {
            channel.consumer.flush();
        }
    }

    /// The same, but of the open channel only what goes together.
    pub(super) fn flush_prefix(&mut self) {
        self.flush_retired();
        if let Some(channel) = &mut self.open {
            channel.consumer.flush_prefix();
        }
    }

    /// The same, but not of the open channel.
    pub(super) fn flush_retired(&mut self) {
        for channel in &mut self.retired {
            channel.consumer.flush();
        }
    }

    /// The open consumer was cancelled: its channel is kept for settling. Where there are too many such, the oldest goes; the caller closes it, and
    /// its leases are lost.
    pub(super) fn retire(&mut self) -> Option<JoinedConsumer> {
        self.retired.push_back(self.open.take()?);
        let too_many = self.retired.len() > MOST_RETIRED;
        let oldest = too_many.then(|| self.retired.pop_front()).flatten();
        oldest.map(|channel| channel.consumer)
    }

    /// The open channel is gone.
    pub(super) fn drop_open(&mut self) {
        self.open = None;
    }

    /// The connection is gone, and with it every channel.
    pub(super) fn drop_all(&mut self) {
        self.open = None;
        self.retired.clear();
    }

    /// A retired channel that nothing came on which is still held.
    pub(super) fn take_retired_if_unused<'a>(
        &mut self,
        held: impl Iterator<Item = &'a ChannelLease>,
    ) -> Option<JoinedConsumer> {
        if self.retired.is_empty() {
            return None;
        }
        let used: BTreeSet<u64> = held.map(|lease| lease.channel).collect();
        let unused = self
            .retired
            .iter()
            .position(|channel| !used.contains(&channel.number))?;
        self.retired.remove(unused).map(|channel| channel.consumer)
    }

    /// Whether a lease can still be used.
    pub(super) fn honours(&self, lease: &ChannelLease) -> bool {
        let mut channels = self.open.iter().chain(&self.retired);
        channels.any(|channel| channel.number == lease.channel)
    }

    /// Everything that can be closed, at the end.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = JoinedConsumer> + use<> {
        let retired = std::mem::take(&mut self.retired);
        let all = self.open.take().into_iter().chain(retired);
        all.map(|channel| channel.consumer)
    }
}
