//! The consumers that a dispatcher settles on: the open one, and the one before it for as long as jobs of it run.

use std::task::{Context, Poll};

use leveret::broker::{ConsumerEvent, Lease, Settlement};

use crate::joined::{Intake, JoinedConsumer};

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
    retired: Option<Channel>,
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

    /// Whether there is a channel of either kind.
    pub(super) fn are_there(&self) -> bool {
        self.open.is_some() || self.retired.is_some()
    }

    /// Whether a cancelled consumer's channel is kept.
    pub(super) fn keeps_a_retired(&self) -> bool {
        self.retired.is_some()
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
        for (channel, settled) in [(&mut self.open, Settled::Open), (&mut self.retired, Settled::Retired)] {
            if let Some(channel) = channel.as_mut().filter(|channel| channel.number == number) {
                return match channel.consumer.settle(lease, settlement) {
                    Ok(()) => settled,
                    Err(_) => Settled::Nowhere,
                };
            }
        }
        Settled::Nowhere
    }

    pub(super) fn flush(&mut self) {
        for channel in [&mut self.open, &mut self.retired].into_iter().flatten() {
            channel.consumer.flush();
        }
    }

    /// The open consumer was cancelled: its channel is kept for settling. The channel retired before it goes; the caller closes it, and its
    /// leases are lost.
    pub(super) fn retire(&mut self) -> Option<JoinedConsumer> {
        let open = self.open.take()?;
        self.retired.replace(open).map(|channel| channel.consumer)
    }

    /// The open channel is gone.
    pub(super) fn drop_open(&mut self) {
        self.open = None;
    }

    /// The connection is gone, and with it every channel.
    pub(super) fn drop_all(&mut self) {
        self.open = None;
        self.retired = None;
    }

    /// The retired channel, once nothing that is held came on it.
    pub(super) fn take_retired_if_unused<'a>(
        &mut self,
        mut held: impl Iterator<Item = &'a ChannelLease>,
    ) -> Option<JoinedConsumer> {
        let number = self.retired.as_ref()?.number;
        if held.any(|lease| lease.channel == number) {
            return None;
        }
        self.retired.take().map(|channel| channel.consumer)
    }

    /// Whether a lease can still be used.
    pub(super) fn honours(&self, lease: &ChannelLease) -> bool {
        [&self.open, &self.retired]
            .into_iter()
            .flatten()
            .any(|channel| channel.number == lease.channel)
    }

    /// Everything that can be closed, at the end.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = JoinedConsumer> + use<> {
        [self.open.take(), self.retired.take()]
            .into_iter()
            .flatten()
            .map(|channel| channel.consumer)
    }
}
