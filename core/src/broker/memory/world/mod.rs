//! The broker with its clients: the pure [`State`] and the connections, channels and faults round it.

mod answers;
mod events;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Waker;
use std::time::Duration;

use super::fault::{Fault, FaultPlan, FaultPoint, Moment};
use super::refusal;
use super::state::{Effect, Settled, State};
use crate::broker::{BrokerError, Destination, Health};
use crate::message::Message;
use crate::watch;
use answers::AnswerBox;
use events::EventBox;

/// Everything behind the lock.
pub(super) struct World {
    pub(super) state: State,
    connections: BTreeMap<u64, Connection>,
    publishers: BTreeMap<u64, AnswerBox>,
    consumers: BTreeMap<u64, EventBox>,
    faults: Option<Box<dyn FaultPlan>>,
    gate: Gate,
    signals: Signals,
}

/// What holds for all connections: what the operator has set, which names are taken, and the ids for new ones.
#[derive(Default)]
struct Gate {
    alarm: Option<String>,
    refuses_connections: bool,
    /// Which connection has a name; one that is gone has none.
    locks: BTreeMap<String, u64>,
    last_id: u64,
}

/// Who is to be woken when the command is done.
#[derive(Default)]
struct Signals {
    wakers: Vec<Waker>,
    /// Whether anything changed that an observer of the broker would want to see.
    stirred: bool,
    /// How many times it did.
    changes: u64,
    /// When the parked consumers will look at the time by themselves.
    armed: Option<Duration>,
}

struct Connection {
    name: String,
    health: watch::Sender<Health>,
    publishers: BTreeSet<u64>,
    consumers: BTreeSet<u64>,
    /// What a blocked connection has written and the broker has not read.
    unread: VecDeque<Unread>,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are publishes")]
enum Unread {
    Publish {
        channel: u64,
        tag: u64,
        destination: Destination,
        message: Message,
    },
    Settle {
        channel: u64,
        settled: Vec<Settled>,
    },
}

impl World {
    pub(super) fn new(faults: Option<Box<dyn FaultPlan>>) -> Self {
        Self {
            state: State::new(),
            connections: BTreeMap::new(),
            publishers: BTreeMap::new(),
            consumers: BTreeMap::new(),
            faults,
            gate: Gate::default(),
            signals: Signals::default(),
        }
    }

    /// Before each command.
    pub(super) fn begin(&mut self, now: Duration, date: u64) {
        if self.state.advance(now, date) {
            self.distribute();
        }
    }

    /// After each command: whom to wake, and whether the observers should look again.
    pub(super) fn finish(&mut self) -> (Vec<Waker>, bool) {
        let due = self.state.next_due();
        if due.is_some() && (self.signals.armed.is_none() || due < self.signals.armed) {
            let parked = self.consumers.values_mut().filter_map(|events| events.waker.take());
            self.signals.wakers.extend(parked);
        }
        self.signals.armed = due;
        let stirred = std::mem::take(&mut self.signals.stirred);
        self.signals.changes += u64::from(stirred);
        (std::mem::take(&mut self.signals.wakers), stirred)
    }

    pub(super) fn changes(&self) -> u64 {
        self.signals.changes
    }

    pub(super) fn set_faults(&mut self, faults: Option<Box<dyn FaultPlan>>) {
        self.faults = faults;
    }

    pub(super) fn fault(&mut self, point: FaultPoint) -> Fault {
        self.faults.as_mut().map_or(Fault::None, |plan| plan.at(point))
    }

    fn new_id(&mut self) -> u64 {
        self.gate.last_id += 1;
        self.gate.last_id
    }

    pub(super) fn connect(&mut self, name: &str) -> Result<(u64, watch::Receiver<Health>), BrokerError> {
        if self.gate.refuses_connections {
            return Err(refusal::refused());
        }
        let id = self.new_id();
        let (health, receiver) = watch::channel(Health::Open);
        let connection = Connection {
            name: name.to_owned(),
            health,
            publishers: BTreeSet::new(),
            consumers: BTreeSet::new(),
            unread: VecDeque::new(),
        };
        self.connections.insert(id, connection);
        Ok((id, receiver))
    }

    /// Takes a name for one connection; `false` while another has it.
    pub(super) fn lock(&mut self, connection: u64, name: &str) -> bool {
        let connections = &self.connections;
        self.gate.locks.retain(|_, holder| connections.contains_key(holder));
        *self.gate.locks.entry(name.to_owned()).or_insert(connection) == connection
    }

    pub(super) fn is_connected(&self, connection: u64) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Ends a connection: all its channels close, and only then do the deliveries of its consumers go back, so that
    /// none goes to a consumer of the same connection.
    pub(super) fn lose_connection(&mut self, id: u64, error: &BrokerError) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        connection.health.send_replace(Health::Closed(error.clone()));
        for publisher in connection.publishers {
            self.end_publisher(publisher, error);
        }
        for consumer in &connection.consumers {
            self.state.unsubscribe(*consumer);
        }
        for consumer in connection.consumers {
            self.end_consumer(consumer, error);
        }
        self.distribute();
    }

    /// Closes one channel from the broker's side.
    pub(super) fn kill_channel(&mut self, id: u64, error: &BrokerError) {
        self.end_publisher(id, error);
        self.end_consumer(id, error);
        self.distribute();
    }

    /// Lets a fault hit a channel, if its moment is now.
    pub(super) fn strike(&mut self, fault: Fault, moment: Moment, connection: u64, channel: u64) -> bool {
        match fault {
            Fault::LoseConnection(when) if when == moment => self.lose_connection(connection, &refusal::lost()),
            Fault::KillChannel(when) if when == moment => self.kill_channel(channel, &refusal::channel_killed()),
            Fault::Forbid if moment == Moment::Before => self.kill_channel(channel, &refusal::forbidden()),
            Fault::ForgetConsumer if moment == Moment::After => {
                self.state.forget_consumer(channel);
                self.distribute();
            }
            _ => return false,
        }
        true
    }

    /// Lets a fault hit a command, if its moment is now.
    pub(super) fn strike_rpc(&mut self, fault: Fault, moment: Moment, connection: u64) -> Result<(), BrokerError> {
        match fault {
            Fault::LoseConnection(when) if when == moment => {
                self.lose_connection(connection, &refusal::lost());
                Err(refusal::lost())
            }
            Fault::KillChannel(when) if when == moment => Err(refusal::channel_killed()),
            Fault::Forbid if moment == Moment::Before => Err(refusal::forbidden()),
            Fault::FailRpc(when) if when == moment => Err(refusal::no_answer("fault")),
            _ => Ok(()),
        }
    }

    /// Hands out what the state has for the consumers.
    pub(super) fn distribute(&mut self) {
        self.signals.stirred = true;
        for effect in self.state.take_effects() {
            match effect {
                Effect::Deliver(consumer, delivery) => self.deliver(consumer, delivery),
                Effect::Cancel(consumer) => self.end_stream(consumer),
            }
        }
    }

    pub(super) fn refuse_connections(&mut self, refuse: bool) {
        self.gate.refuses_connections = refuse;
    }

    /// Raises the alarm. As with RabbitMQ a connection notices it with its next publish.
    pub(super) fn block(&mut self, reason: &str) {
        self.gate.alarm = Some(reason.to_owned());
    }

    /// Ends the alarm and reads what the blocked connections have written meanwhile.
    pub(super) fn unblock(&mut self) {
        self.gate.alarm = None;
        let blocked: Vec<u64> = self.connections.keys().copied().collect();
        for id in blocked {
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            let unread = std::mem::take(&mut connection.unread);
            connection.health.send_if_modified(|health| {
                let was_blocked = matches!(health, Health::Blocked(_));
                if was_blocked {
                    *health = Health::Open;
                }
                was_blocked
            });
            for command in unread {
                self.read(command);
            }
        }
    }

    fn read(&mut self, command: Unread) {
        match command {
            Unread::Publish {
                channel,
                tag,
                destination,
                message,
            } => self.publish(channel, tag, &destination, &message),
            Unread::Settle { channel, settled } => self.settle(channel, settled),
        }
    }

    /// The connections whose name is `name`, or all.
    pub(super) fn connections_named(&self, name: Option<&str>) -> Vec<u64> {
        let matching = self
            .connections
            .iter()
            .filter(|(_, it)| name.is_none_or(|name| it.name == name));
        matching.map(|(id, _)| *id).collect()
    }

    /// The channels that consume `queue`, or all channels.
    pub(super) fn channels_of(&self, queue: Option<&str>) -> Vec<u64> {
        match queue {
            Some(queue) => self.state.consumers_of(queue),
            None => self.publishers.keys().chain(self.consumers.keys()).copied().collect(),
        }
    }
}
