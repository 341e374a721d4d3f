//! The consuming channels: what each consumer has been sent, what each puller takes, and what they settle.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Unread, World};
use crate::broker::memory::fault::{Fault, FaultPoint, Moment};
use crate::broker::memory::refusal;
use crate::broker::memory::state::Settled;
use crate::broker::{BrokerError, ConsumerEvent, Delivery, Health};

/// The client's end of one consuming channel.
pub(super) struct EventBox {
    connection: u64,
    deliveries: VecDeque<Delivery>,
    channel: Channel,
    pub(super) waker: Option<Waker>,
}

enum Channel {
    Consuming,
    /// No more deliveries will come, but those that have come can be settled.
    Cancelled,
    Lost(BrokerError),
}

impl World {
    pub(in crate::broker::memory) fn consume(
        &mut self,
        connection: u64,
        queue: &str,
        prefetch: u16,
    ) -> Result<u64, BrokerError> {
        let id = self.open_channel(connection)?;
        let started = self.state.subscribe(id, queue, prefetch);
        if started.is_err() {
            self.drop_consumer(id);
        }
        self.distribute();
        started.map(|()| id)
    }

    /// A channel that consumes and publishes: both halves have its id, so what ends it ends both.
    pub(in crate::broker::memory) fn open_duplex(
        &mut self,
        connection: u64,
        queue: &str,
        prefetch: u16,
    ) -> Result<u64, BrokerError> {
        let id = self.consume(connection, queue, prefetch)?;
        self.open_publisher_on(connection, id)?;
        Ok(id)
    }

    fn open_channel(&mut self, connection: u64) -> Result<u64, BrokerError> {
        let id = self.new_id();
        let home = self.connections.get_mut(&connection).ok_or_else(refusal::lost)?;
        home.consumers.insert(id);
        let events = EventBox {
            connection,
            deliveries: VecDeque::new(),
            channel: Channel::Consuming,
            waker: None,
        };
        self.consumers.insert(id, events);
        Ok(id)
    }

    /// A channel that gets nothing unless it asks.
    pub(in crate::broker::memory) fn open_puller(&mut self, connection: u64, queue: &str) -> Result<u64, BrokerError> {
        let id = self.open_channel(connection)?;
        self.state.admit_puller(id, queue);
        Ok(id)
    }

    pub(in crate::broker::memory) fn pull(&mut self, id: u64, queue: &str) -> Result<Option<Delivery>, BrokerError> {
        self.loss_of(id)?;
        if !self.state.has_queue(queue) {
            let error = refusal::no_queue(queue);
            self.kill_channel(id, &error);
            return Err(error);
        }
        let pulled = self.state.pull(id);
        self.distribute();
        Ok(pulled)
    }

    /// Why a channel is gone, if it is.
    pub(in crate::broker::memory) fn loss_of(&self, id: u64) -> Result<(), BrokerError> {
        match self.consumers.get(&id).map(|events| &events.channel) {
            Some(Channel::Lost(error)) => Err(error.clone()),
            Some(_) => Ok(()),
            None => Err(refusal::closed()),
        }
    }

    /// Closes a channel whose owner is gone: what it did not settle goes back, and if it publishes as well, that ends too.
    pub(in crate::broker::memory) fn drop_consumer(&mut self, id: u64) {
        self.end_publisher(id, &refusal::closed());
        let Some(events) = self.consumers.remove(&id) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(&events.connection) {
            connection.consumers.remove(&id);
        }
        self.state.release(id);
        self.distribute();
    }

    /// The channel is gone; what had been sent before still comes out.
    pub(super) fn end_consumer(&mut self, id: u64, error: &BrokerError) {
        let Some(events) = self.consumers.get_mut(&id) else {
            return;
        };
        if matches!(events.channel, Channel::Lost(_)) {
            return;
        }
        events.channel = Channel::Lost(error.clone());
        self.signals.wakers.extend(events.waker.take());
        if let Some(connection) = self.connections.get_mut(&events.connection) {
            connection.consumers.remove(&id);
        }
        self.state.release(id);
    }

    pub(super) fn deliver(&mut self, id: u64, delivery: Delivery) {
        let Some(events) = self.consumers.get_mut(&id) else {
            return;
        };
        events.deliveries.push_back(delivery);
        self.signals.wakers.extend(events.waker.take());
    }

    /// No more deliveries: the consumer was cancelled, from whichever side.
    pub(super) fn end_stream(&mut self, id: u64) {
        let Some(events) = self.consumers.get_mut(&id) else {
            return;
        };
        if matches!(events.channel, Channel::Consuming) {
            events.channel = Channel::Cancelled;
            self.signals.wakers.extend(events.waker.take());
        }
    }

    pub(in crate::broker::memory) fn cancel(&mut self, id: u64) -> Result<(), BrokerError> {
        if let Some(EventBox {
            channel: Channel::Lost(error),
            ..
        }) = self.consumers.get(&id)
        {
            return Err(error.clone());
        }
        self.state.unsubscribe(id);
        self.end_stream(id);
        self.state.serve_queue_of(id);
        self.distribute();
        Ok(())
    }

    /// Whether the fault hit: then nothing of what was asked has happened, or no more of it will.
    pub(in crate::broker::memory) fn strike_consumer(&mut self, id: u64, fault: Fault, moment: Moment) -> bool {
        let Some(events) = self.consumers.get(&id) else {
            return false;
        };
        let connection = events.connection;
        self.strike(fault, moment, connection, id)
    }

    /// Applies settlements in order, unless the channel is gone.
    pub(in crate::broker::memory) fn settle(&mut self, id: u64, settled: Vec<Settled>) {
        let Some(events) = self.consumers.get(&id) else { return };
        let Some(connection) = self.connections.get_mut(&events.connection) else {
            return;
        };
        if matches!(events.channel, Channel::Lost(_)) {
            return;
        }
        if matches!(*connection.health.borrow(), Health::Blocked(_)) {
            connection.unread.push_back(Unread::Settle { channel: id, settled });
            return;
        }
        for one in settled {
            self.state.settle(id, one);
        }
        self.distribute();
    }

    /// The next event, or when to look again.
    pub(in crate::broker::memory) fn poll_event(
        &mut self,
        id: u64,
        cx: &mut Context<'_>,
    ) -> (Poll<ConsumerEvent>, Option<Duration>) {
        loop {
            let due = self.state.next_due();
            let Some(events) = self.consumers.get_mut(&id) else {
                return (Poll::Ready(ConsumerEvent::Lost(refusal::closed())), None);
            };
            if !events.deliveries.is_empty() {
                match self.next_delivery(id) {
                    Some(delivery) => return (Poll::Ready(ConsumerEvent::Delivery(delivery)), None),
                    None => continue,
                }
            }
            let ended = match &events.channel {
                Channel::Cancelled => ConsumerEvent::Cancelled,
                Channel::Lost(error) => ConsumerEvent::Lost(error.clone()),
                Channel::Consuming => {
                    events.waker = Some(cx.waker().clone());
                    return (Poll::Pending, due);
                }
            };
            return (Poll::Ready(ended), None);
        }
    }

    /// Gives out one delivery, unless a fault keeps it.
    fn next_delivery(&mut self, id: u64) -> Option<Delivery> {
        let fault = self.fault(FaultPoint::Deliver);
        let events = self.consumers.get_mut(&id)?;
        let connection = events.connection;
        if matches!(
            fault,
            Fault::LoseConnection(Moment::Before) | Fault::KillChannel(Moment::Before)
        ) {
            events.deliveries.clear();
            self.strike(fault, Moment::Before, connection, id);
            return None;
        }
        let delivery = events.deliveries.pop_front();
        if fault == Fault::CancelConsumer {
            self.state.unsubscribe(id);
            self.end_stream(id);
            self.state.serve_queue_of(id);
            self.distribute();
        }
        self.strike(fault, Moment::After, connection, id);
        delivery
    }
}
