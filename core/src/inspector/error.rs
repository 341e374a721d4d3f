//! What keeps an inspection from taking place: [`InspectError`].

use std::fmt;

use crate::broker::{BrokerError, BrokerErrorKind};
use crate::topology::TopologyError;

/// An inspection could not take place. The letters are where they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectError {
    queue: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Connect(BrokerError),
    Busy,
    Lock { lock: String, error: BrokerError },
    Missing,
    Topology(TopologyError),
    Unchecked { deliveries: u32 },
    Broker(BrokerError),
}

impl InspectError {
    pub(super) fn connect(queue: &str, error: BrokerError) -> Self {
        Self::new(queue, Kind::Connect(error))
    }

    pub(super) fn busy(queue: &str) -> Self {
        Self::new(queue, Kind::Busy)
    }

    pub(super) fn lock(queue: &str, lock: &str, error: BrokerError) -> Self {
        let lock = lock.to_owned();
        Self::new(queue, Kind::Lock { lock, error })
    }

    pub(super) fn broker(queue: &str, error: BrokerError) -> Self {
        match error.kind() {
            BrokerErrorKind::NotFound => Self::new(queue, Kind::Missing),
            _ => Self::new(queue, Kind::Broker(error)),
        }
    }

    pub(super) fn topology(queue: &str, error: TopologyError) -> Self {
        match error.broker_error().kind() {
            BrokerErrorKind::NotFound => Self::new(queue, Kind::Missing),
            _ => Self::new(queue, Kind::Topology(error)),
        }
    }

    pub(super) fn unchecked(queue: &str, deliveries: u32) -> Self {
        Self::new(queue, Kind::Unchecked { deliveries })
    }

    fn new(queue: &str, kind: Kind) -> Self {
        Self {
            queue: queue.to_owned(),
            kind,
        }
    }

    /// Whether another inspection holds the queue. It will be over within five minutes.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }

    /// Whether there is no such queue.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.kind == Kind::Missing
    }
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = &self.queue;
        match &self.kind {
            Kind::Connect(error) => write!(f, "`{queue}` cannot be inspected without a connection: {error}"),
            Kind::Busy => write!(
                f,
                "`{queue}` is being inspected by somebody else; try again when they are done, within five minutes at the most"
            ),
            Kind::Lock { lock, error } => write!(
                f,
                "`{queue}` cannot be kept for one inspector: the exclusive queue `{lock}`, which lives as long as an inspection, was not \
                 declared: {error}; the user needs the right to `configure` it"
            ),
            Kind::Missing => write!(
                f,
                "there is no queue `{queue}`; it is made by the first producer or worker of its queue, so check the name, the virtual host and the prefix"
            ),
            Kind::Topology(error) => write!(
                f,
                "`{queue}` is not safe to look at, because each look counts as a delivery there: {error}"
            ),
            Kind::Unchecked { deliveries } => write!(
                f,
                "a letter in `{queue}` was delivered {deliveries} times before, each look is one more, and whether there is a limit could not be \
                 checked: RabbitMQ 4.0 to 4.2 destroy letters after the 20th where none is set. Do not look again before the queue has \
                 `x-delivery-limit` 2147483647 as its argument, or a policy with that `delivery-limit` (`Topology::policies` has the \
                 command); then say so with `DeadLetters::trusting_the_delivery_limit`"
            ),
            Kind::Broker(error) => write!(f, "the inspection of `{queue}` has ended early: {error}"),
        }
    }
}

impl std::error::Error for InspectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Connect(error) | Kind::Broker(error) | Kind::Lock { error, .. } => Some(error),
            Kind::Topology(error) => Some(error),
            Kind::Busy | Kind::Missing | Kind::Unchecked { .. } => None,
        }
    }
}
