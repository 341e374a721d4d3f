//! What an operator can do to a broker from outside: look into queues, delete things, pull cables.

use super::fault::FaultPlan;
use super::state::Publication;
use super::world::World;
use super::{MemoryBroker, MemoryDepth, refusal};
use crate::broker::{BrokerError, BrokerErrorKind, Destination};
use crate::message::Message;

impl MemoryBroker {
    /// How many messages of a queue are where; `None` if there is no such queue.
    #[must_use]
    pub fn depth(&self, queue: &str) -> Option<MemoryDepth> {
        self.hub.with(|world| world.state.depth(queue))
    }

    /// Waits until a queue is there and its depth is as wanted.
    pub async fn wait_for_depth(&self, queue: &str, mut wanted: impl FnMut(MemoryDepth) -> bool) -> MemoryDepth {
        loop {
            let mut changed = std::pin::pin!(self.hub.changed.notified());
            // Registered before the look: a change in between is not missed.
            changed.as_mut().enable();
            match self.depth(queue) {
                Some(depth) if wanted(depth) => return depth,
                _ => self.until_due(changed).await,
            }
        }
    }

    /// Copies of the ready messages of a queue, in the order in which they will be delivered.
    #[must_use]
    pub fn messages(&self, queue: &str) -> Vec<Message> {
        self.hub.with(|world| world.state.messages(queue))
    }

    /// Copies of all messages of a queue: those that its consumers hold, which have not settled them, then the ready ones.
    #[must_use]
    pub fn contents(&self, queue: &str) -> Vec<Message> {
        self.hub.with(|world| {
            let mut contents = world.state.unsettled(queue);
            contents.extend(world.state.messages(queue));
            contents
        })
    }

    /// Counts the changes to what is in the queues: where it stays the same, nothing came and nothing went.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.hub.with(|world| world.changes())
    }

    /// Waits until [`MemoryBroker::changes`] is another than `seen`.
    pub async fn changed_since(&self, seen: u64) {
        loop {
            let mut changed = std::pin::pin!(self.hub.changed.notified());
            // Registered before the look: a change in between is not missed.
            changed.as_mut().enable();
            if self.changes() != seen {
                return;
            }
            self.until_due(changed).await;
        }
    }

    /// Waits for `changed`, or until the broker has something to do by itself: nobody else may be there to look at the time.
    async fn until_due(&self, changed: impl Future<Output = ()>) {
        let due = self.hub.with(|world| world.state.next_due());
        match due {
            Some(due) => drop(tokio::time::timeout(due.saturating_sub(self.hub.clock.now()), changed).await),
            None => changed.await,
        }
    }

    /// Where each message of a queue, of those that no consumer holds, was sent to when it came into the queue.
    #[must_use]
    pub fn destinations(&self, queue: &str) -> Vec<Destination> {
        self.hub.with(|world| world.state.destinations(queue))
    }

    /// The names of all queues, sorted.
    #[must_use]
    pub fn queues(&self) -> Vec<String> {
        self.hub.with(|world| world.state.queue_names())
    }

    /// Publishes like a foreign producer: without a connection, without faults, and in spite of alarms.
    ///
    /// # Errors
    /// [`BrokerErrorKind::NotFound`] if the message cannot be routed to any queue, [`BrokerErrorKind::Protocol`] if a
    /// queue is full.
    pub fn publish_raw(&self, destination: &Destination, message: &Message) -> Result<(), BrokerError> {
        let publication = self.hub.with(|world| {
            let publication = world.state.publish(destination, message);
            world.distribute();
            publication
        });
        match publication {
            Publication::Stored => Ok(()),
            Publication::NoExchange => Err(refusal::no_exchange(&destination.exchange)),
            Publication::Refused => Err(BrokerError::new(BrokerErrorKind::Protocol, "a queue is full")),
            Publication::Unroutable => {
                let text = format!("NO_ROUTE for routing key '{}'", destination.routing_key);
                Err(BrokerError::new(BrokerErrorKind::NotFound, text))
            }
        }
    }

    /// Deletes a queue and all it holds; its consumers are cancelled. `false`: there was none.
    pub fn delete_queue(&self, queue: &str) -> bool {
        self.hub.with(|world| {
            let deleted = world.state.delete_queue(queue);
            world.distribute();
            deleted
        })
    }

    /// Deletes an exchange and its bindings. `false`: there was none.
    pub fn delete_exchange(&self, exchange: &str) -> bool {
        self.hub.with(|world| world.state.delete_exchange(exchange))
    }

    /// Removes the ready messages of a queue and says how many there were.
    pub fn purge(&self, queue: &str) -> usize {
        self.hub.with(|world| {
            let purged = world.state.purge(queue);
            world.distribute();
            purged
        })
    }

    /// Cuts all connections.
    pub fn drop_connections(&self) {
        self.cut(None);
    }

    /// Cuts the connections that were opened under a name.
    pub fn drop_connections_named(&self, name: &str) {
        self.cut(Some(name));
    }

    fn cut(&self, name: Option<&str>) {
        self.hub.with(|world| {
            for connection in world.connections_named(name) {
                world.lose_connection(connection, &refusal::lost());
            }
        });
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.hub.with(|world| world.connections_named(None).len())
    }

    /// Refuses new connections, or accepts them again.
    pub fn refuse_connections(&self, refuse: bool) {
        self.hub.with(|world| world.refuse_connections(refuse));
    }

    /// Cancels the consumers of a queue, as RabbitMQ does when a queue's node goes away.
    pub fn cancel_consumers(&self, queue: &str) {
        self.hub.with(|world| {
            world.state.cancel_consumers(queue);
            world.distribute();
        });
    }

    /// Forgets the consumers of a queue and tells nobody, as RabbitMQ may do when a queue loses its leader: nothing more comes to them, and
    /// their channels live on.
    pub fn forget_consumers(&self, queue: &str) {
        self.hub.with(|world| {
            world.state.forget_consumers(queue);
            world.distribute();
        });
    }

    /// Takes back what the consumers of a queue hold and cancels them, as RabbitMQ does from 4.3 on after a consumer timeout: their
    /// channels live on, and settling there what was taken back does nothing.
    pub fn expire_deliveries_of(&self, queue: &str) {
        self.hub.with(|world| {
            world.state.expire_deliveries_of(queue);
            world.distribute();
        });
    }

    /// What RabbitMQ does up to 4.2 once a job of a queue has been held for longer than `consumer_timeout`: it closes the channel, and
    /// everything that was held on it comes again.
    pub fn time_out_channels_of(&self, queue: &str) {
        self.kill(Some(queue), &refusal::overdue());
    }

    /// Closes the channels that consume a queue.
    pub fn kill_channels_of(&self, queue: &str) {
        self.kill(Some(queue), &refusal::channel_killed());
    }

    /// Closes all channels, those for publishing included.
    pub fn kill_channels(&self) {
        self.kill(None, &refusal::channel_killed());
    }

    fn kill(&self, queue: Option<&str>, error: &BrokerError) {
        self.hub.with(|world| {
            for channel in world.channels_of(queue) {
                world.kill_channel(channel, error);
            }
        });
    }

    /// Raises an alarm. As with RabbitMQ a connection is blocked from its next publish on: nothing that it sends is
    /// read until [`MemoryBroker::unblock`]. Connections that do not publish notice nothing.
    pub fn block(&self, reason: &str) {
        self.hub.with(|world| world.block(reason));
    }

    /// Ends the alarm.
    pub fn unblock(&self) {
        self.hub.with(|world| world.unblock());
    }

    /// Replaces the fault plan from here on.
    pub fn set_faults(&self, plan: impl FaultPlan + 'static) {
        self.hub.with(|world| world.set_faults(Some(Box::new(plan))));
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.hub.with(|world| world.set_faults(None));
    }

    /// Gives out now whatever answers to publishes [`Fault::DelayAnswer`](super::Fault::DelayAnswer) delays.
    pub fn release_answers(&self) {
        self.hub.with(World::release_answers);
    }
}
