//! Deliveries: who gets the next message, and how a delivery ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::death::Reason;
use super::queue::{Entry, QueueState};
use super::{ConsumerId, Effect, Name, State, refusal};
use crate::broker::{BrokerError, Delivery, Lease, Settlement};
use crate::message::Message;

/// One settlement on its way to the broker: the tag of the delivery and what becomes of it.
pub(crate) type Settled = (u64, Settlement);

/// One consumer of a queue.
#[derive(Debug)]
pub(super) struct Subscription {
    queue: Name,
    prefetch: usize,
    held: BTreeMap<u64, Entry>,
    last_tag: u64,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It waits in its queue's line.
    InLine,
    /// It holds as many deliveries as its prefetch allows.
    Busy,
    /// It gets no more deliveries; those it has can be settled.
    Cancelled,
    /// It asks for each.
    Pulling,
}

impl Subscription {
    /// Takes a message of its queue into its hands.
    fn take(&mut self, id: ConsumerId, queue: &mut QueueState, entry: Entry) -> Delivery {
        queue.unacked += 1;
        self.last_tag += 1;
        let delivery = Delivery {
            message: queue.message_of(&entry),
            redelivered: entry.is_redelivered(),
            lease: Lease::new(id, self.last_tag),
        };
        self.held.insert(self.last_tag, entry);
        delivery
    }
}

impl State {
    /// Starts a consumer. `consumer` is an id that was never used before.
    pub(crate) fn subscribe(&mut self, consumer: ConsumerId, queue: &str, prefetch: u16) -> Result<(), BrokerError> {
        let name = self.queues.get_key_value(queue).map(|(name, _)| Arc::clone(name));
        let name = name.ok_or_else(|| refusal::no_queue(queue))?;
        let state = self.queues.get_mut(&name).ok_or_else(|| refusal::no_queue(queue))?;
        state.line.consumers.insert(consumer);
        state.line.join(consumer);
        let subscription = Subscription {
            queue: Arc::clone(&name),
            prefetch: usize::from(prefetch.max(1)),
            held: BTreeMap::new(),
            last_tag: 0,
            standing: Standing::InLine,
        };
        self.consumers.insert(consumer, subscription);
        self.serve(&name);
        Ok(())
    }

    /// Starts a channel that asks for its messages; whether there is such a queue is asked then.
    pub(crate) fn admit_puller(&mut self, consumer: ConsumerId, queue: &str) {
        let subscription = Subscription {
            queue: Arc::from(queue),
            prefetch: usize::MAX,
            held: BTreeMap::new(),
            last_tag: 0,
            standing: Standing::Pulling,
        };
        self.consumers.insert(consumer, subscription);
    }

    /// Gives one ready message to a channel that asks.
    pub(crate) fn pull(&mut self, consumer: ConsumerId) -> Option<Delivery> {
        let puller = self.consumers.get_mut(&consumer)?;
        let queue = self.queues.get_mut(&puller.queue)?;
        let entry = queue.pop()?;
        Some(puller.take(consumer, queue, entry))
    }

    /// Hands the ready messages of a queue to its consumers, one each in turn.
    pub(super) fn serve(&mut self, queue: &str) {
        let Some(state) = self.queues.get_mut(queue) else {
            return;
        };
        while state.ready() > 0
            && let Some(id) = state.line.next(state.settings.single_active)
        {
            let Some(consumer) = self.consumers.get_mut(&id) else {
                continue;
            };
            let Some(entry) = state.pop() else { break };
            let delivery = consumer.take(id, state, entry);
            self.effects.push(Effect::Deliver(id, delivery));
            if consumer.held.len() < consumer.prefetch {
                state.line.join(id);
            } else {
                consumer.standing = Standing::Busy;
            }
        }
    }

    /// Settles one delivery; an unknown one (its queue was deleted) is ignored.
    pub(crate) fn settle(&mut self, consumer: ConsumerId, (tag, settlement): Settled) {
        let Some(subscription) = self.consumers.get_mut(&consumer) else {
            return;
        };
        let Some(entry) = subscription.held.remove(&tag) else {
            return;
        };
        let queue = Arc::clone(&subscription.queue);
        let has_room = subscription.standing == Standing::Busy;
        if has_room {
            subscription.standing = Standing::InLine;
        }
        let Some(state) = self.queues.get_mut(&queue) else {
            return;
        };
        state.unacked -= 1;
        if has_room {
            state.line.join(consumer);
        }
        match settlement {
            Settlement::Ack => {}
            Settlement::Requeue => self.give_back(&queue, entry, true),
            Settlement::DeadLetter => self.dead_letter(&queue, &entry, Reason::Rejected),
        }
        self.serve(&queue);
    }

    fn give_back(&mut self, queue: &Name, entry: Entry, returned: bool) {
        let Some(state) = self.queues.get_mut(queue) else {
            return;
        };
        if let Err(worn_out) = state.give_back(entry, returned) {
            self.dead_letter(queue, &worn_out, Reason::DeliveryLimit);
        }
    }

    /// Stops deliveries to a consumer; what it holds can still be settled.
    pub(crate) fn unsubscribe(&mut self, consumer: ConsumerId) {
        let Some(subscription) = self.consumers.get_mut(&consumer) else {
            return;
        };
        subscription.standing = Standing::Cancelled;
        if let Some(state) = self.queues.get_mut(&subscription.queue) {
            state.line.consumers.remove(&consumer);
        }
    }

    /// Delivers nothing more to a consumer, and does not tell it.
    pub(crate) fn forget_consumer(&mut self, consumer: ConsumerId) {
        self.unsubscribe(consumer);
        self.serve_queue_of(consumer);
    }

    /// The same for all consumers of a queue.
    pub(crate) fn forget_consumers(&mut self, queue: &str) {
        let Some(state) = self.queues.get(queue) else { return };
        for consumer in state.line.consumers.clone() {
            self.unsubscribe(consumer);
        }
    }

    /// Hands what waits in a consumer's queue to whoever is its turn now.
    pub(crate) fn serve_queue_of(&mut self, consumer: ConsumerId) {
        if let Some(queue) = self.consumers.get(&consumer).map(|it| Arc::clone(&it.queue)) {
            self.serve(&queue);
        }
    }

    /// Forgets a consumer whose channel has closed; what it held goes back to the queue.
    pub(crate) fn release(&mut self, consumer: ConsumerId) {
        self.unsubscribe(consumer);
        let Some(Subscription { queue, held, .. }) = self.consumers.remove(&consumer) else {
            return;
        };
        if let Some(state) = self.queues.get_mut(&queue) {
            state.unacked -= held.len();
        }
        for entry in held.into_values() {
            self.give_back(&queue, entry, false);
        }
        self.serve(&queue);
    }

    /// Cancels all consumers of a queue from the broker's side.
    pub(crate) fn cancel_consumers(&mut self, queue: &str) {
        let Some(state) = self.queues.get(queue) else { return };
        for consumer in state.line.consumers.clone() {
            self.unsubscribe(consumer);
            self.effects.push(Effect::Cancel(consumer));
        }
    }

    /// Cancels all consumers of a queue, and takes back what they hold.
    pub(crate) fn expire_deliveries_of(&mut self, queue: &str) {
        self.cancel_consumers(queue);
        for consumer in self.consumers_of(queue) {
            let Some(subscription) = self.consumers.get_mut(&consumer) else {
                continue;
            };
            let (queue, held) = (Arc::clone(&subscription.queue), std::mem::take(&mut subscription.held));
            if let Some(state) = self.queues.get_mut(&queue) {
                state.unacked -= held.len();
            }
            for entry in held.into_values() {
                self.give_back(&queue, entry, false);
            }
        }
        self.serve(queue);
    }

    /// The consumers that hold deliveries of a queue or wait for some.
    pub(crate) fn consumers_of(&self, queue: &str) -> Vec<ConsumerId> {
        let of_queue = |(_, subscription): &(&ConsumerId, &Subscription)| &*subscription.queue == queue;
        self.consumers.iter().filter(of_queue).map(|(id, _)| *id).collect()
    }

    /// The messages of a queue that its consumers hold.
    pub(crate) fn unsettled(&self, queue: &str) -> Vec<Message> {
        let consumers = self.consumers.values().filter(|it| &*it.queue == queue);
        let held = consumers.flat_map(|it| it.held.values());
        held.map(|entry| entry.posted.message.clone()).collect()
    }

    /// How many consumers RabbitMQ says that a queue has: a quorum queue counts a cancelled one, and a puller, as long as it
    /// holds deliveries.
    pub(super) fn consumers_counted(&self, queue: &str) -> usize {
        let Some(state) = self.queues.get(queue) else { return 0 };
        if !state.settings.quorum {
            return state.line.consumers.len();
        }
        let of_queue = self.consumers.values().filter(|it| &*it.queue == queue);
        of_queue
            .filter(|it| matches!(it.standing, Standing::InLine | Standing::Busy) || !it.held.is_empty())
            .count()
    }

    /// Deletes a queue with all it holds; its consumers are cancelled and what they hold is worth nothing any more.
    pub(crate) fn delete_queue(&mut self, queue: &str) -> bool {
        self.cancel_consumers(queue);
        for consumer in self.consumers_of(queue) {
            if let Some(subscription) = self.consumers.get_mut(&consumer) {
                subscription.held.clear();
            }
        }
        for exchange in self.exchanges.values_mut() {
            exchange.unbind_queue(queue);
        }
        self.queues.remove(queue).is_some()
    }
}
