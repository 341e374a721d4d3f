//! The broker as a value: what it holds and what each command makes of it. No runtime, no lock, no clock: the time is
//! told by [`State::advance`], and what consumers shall hear of is collected as [`Effect`]s.

mod arguments;
mod consume;
mod dead_letter;
mod death;
mod declare;
mod queue;
mod routing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use consume::Settled;
use consume::Subscription;
use queue::{Posted, QueueState};
use routing::ExchangeState;

use super::refusal;
use crate::broker::topology::{Arguments, ExchangeKind, QueueDepth};
use crate::broker::{BrokerError, Delivery, Destination};
use crate::message::Message;

pub(crate) type Name = Arc<str>;
pub(crate) type ConsumerId = u64;

/// Exchanges, queues, and who consumes them.
#[derive(Debug, Default)]
pub(crate) struct State {
    exchanges: BTreeMap<Name, ExchangeState>,
    queues: BTreeMap<Name, QueueState>,
    consumers: BTreeMap<ConsumerId, Subscription>,
    /// When which queue has something to do by itself.
    timers: BTreeSet<(Duration, Name)>,
    effects: Vec<Effect>,
    now: Duration,
    /// The wall time in seconds since the Unix epoch.
    date: u64,
}

/// What a consumer hears from the broker.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are deliveries")]
pub(crate) enum Effect {
    Deliver(ConsumerId, Delivery),
    Cancel(ConsumerId),
}

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publication {
    Stored,
    /// A queue that it was routed to is full.
    Refused,
    Unroutable,
    NoExchange,
}

/// How many messages of a queue are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryDepth {
    /// Messages that wait for a consumer.
    pub ready: usize,
    /// Deliveries that are not settled.
    pub unacked: usize,
    /// Dead letters whose target does not take them; they are kept here and tried again every 180 seconds.
    pub undelivered: usize,
}

impl State {
    /// An empty broker, with the exchanges that every RabbitMQ has.
    pub(crate) fn new() -> Self {
        let mut state = Self::default();
        for (name, kind) in [
            ("amq.direct", ExchangeKind::Direct),
            ("amq.fanout", ExchangeKind::Fanout),
            ("amq.topic", ExchangeKind::Topic),
        ] {
            let exchange = ExchangeState::new(kind, Arguments::new());
            state.exchanges.insert(Arc::from(name), exchange);
        }
        state
    }

    /// Tells the time and does what has become due. `true`: there was something.
    pub(crate) fn advance(&mut self, now: Duration, date: u64) -> bool {
        self.date = date;
        let mut was_due = false;
        while let Some((due, _)) = self.timers.first()
            && *due <= now
            && let Some((due, queue)) = self.timers.pop_first()
        {
            // Each at its own time: what one sends into another queue waits there from then on.
            self.now = self.now.max(due);
            self.expire(&queue);
            self.retry_dead_letters(&queue);
            was_due = true;
        }
        self.now = self.now.max(now);
        was_due
    }

    /// Gives up the messages of a queue whose time there is over.
    fn expire(&mut self, queue: &Name) {
        let now = self.now;
        while let Some(entry) = self.queues.get_mut(queue).and_then(|state| state.pop_expired(now)) {
            self.dead_letter(queue, &entry, death::Reason::Expired);
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// When [`State::advance`] will next have something to do.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.timers.first().map(|(due, _)| *due)
    }

    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn publish(&mut self, destination: &Destination, message: &Message) -> Publication {
        let Some(targets) = self.route(destination) else {
            return Publication::NoExchange;
        };
        if targets.is_empty() {
            return Publication::Unroutable;
        }
        let posted = Arc::new(Posted {
            message: message.clone(),
            destination: destination.clone(),
        });
        let mut stored = true;
        for queue in targets {
            stored &= self.store(&queue, Arc::clone(&posted));
        }
        if stored {
            Publication::Stored
        } else {
            Publication::Refused
        }
    }

    /// The queues for a destination, through bound and alternate exchanges; `None` if there is no such exchange.
    fn route(&self, destination: &Destination) -> Option<BTreeSet<Name>> {
        let Destination { exchange, routing_key } = destination;
        if exchange.is_empty() {
            let queue = self.queues.get_key_value(routing_key.as_str());
            return Some(queue.map(|(name, _)| Arc::clone(name)).into_iter().collect());
        }
        let mut open = vec![self.exchanges.get(exchange.as_str())?];
        let mut seen = BTreeSet::from([exchange.as_str()]);
        let mut queues = BTreeSet::new();
        while let Some(current) = open.pop() {
            let found = current.route(routing_key);
            let alternate = current.alternate().filter(|_| found.is_empty());
            let mut exchanges: Vec<&str> = alternate.into_iter().collect();
            for target in found {
                match target {
                    routing::Target::Queue(name) => drop(queues.insert(Arc::clone(name))),
                    routing::Target::Exchange(name) => exchanges.push(name),
                }
            }
            exchanges.retain(|name| seen.insert(name));
            open.extend(exchanges.into_iter().filter_map(|name| self.exchanges.get(name)));
        }
        Some(queues)
    }

    /// Puts a message into a queue, if that takes it.
    fn store(&mut self, queue: &Name, posted: Arc<Posted>) -> bool {
        let Some(state) = self.queues.get_mut(queue) else {
            return false;
        };
        if state.is_full() {
            return false;
        }
        if let Some(expires_at) = state.push(posted, self.now) {
            self.timers.insert((expires_at, Arc::clone(queue)));
        }
        self.serve(queue);
        self.trim(queue);
        true
    }

    fn trim(&mut self, queue: &Name) {
        while let Some(entry) = self.queues.get_mut(queue).and_then(QueueState::overflow) {
            self.dead_letter(queue, &entry, death::Reason::MaxLength);
        }
    }

    pub(crate) fn has_queue(&self, queue: &str) -> bool {
        self.queues.contains_key(queue)
    }

    pub(crate) fn inspect(&self, queue: &str) -> Result<QueueDepth, BrokerError> {
        let state = self.queues.get(queue).ok_or_else(|| refusal::no_queue(queue))?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(QueueDepth {
            ready: count(state.ready()),
            consumers: count(self.consumers_counted(queue)),
        })
    }

    pub(crate) fn inspect_exchange(&self, exchange: &str) -> Result<(), BrokerError> {
        let known = exchange.is_empty() || self.exchanges.contains_key(exchange);
        known.then_some(()).ok_or_else(|| refusal::no_exchange(exchange))
    }

    pub(crate) fn depth(&self, queue: &str) -> Option<MemoryDepth> {
        self.queues.get(queue).map(|state| MemoryDepth {
            ready: state.ready(),
            unacked: state.unacked,
            undelivered: state.graves.len(),
        })
    }

    pub(crate) fn messages(&self, queue: &str) -> Vec<Message> {
        self.queues
            .get(queue)
            .map(|state| state.peek().map(|posted| posted.message.clone()).collect())
            .unwrap_or_default()
    }

    /// Where the ready messages of a queue, and those that it cannot get rid of, were sent to when they came here.
    pub(crate) fn destinations(&self, queue: &str) -> Vec<Destination> {
        let posted = self.queues.get(queue).into_iter();
        posted
            .flat_map(|state| state.peek().chain(state.graves.peek()))
            .map(|posted| posted.destination.clone())
            .collect()
    }

    pub(crate) fn purge(&mut self, queue: &str) -> usize {
        self.queues.get_mut(queue).map_or(0, QueueState::purge)
    }

    pub(crate) fn queue_names(&self) -> Vec<String> {
        self.queues.keys().map(|name| name.to_string()).collect()
    }
}
