//! The broker seam: all that Leveret asks of a message broker. RabbitMQ (the only place that names its client library) and the
//! in-memory broker stand behind it, and one contract suite holds both to the promises written here.
//!
//! Applications never need this module; a worker runtime does.

mod duplex;
mod error;
#[cfg(feature = "memory")]
pub mod memory;
mod puller;
#[cfg(feature = "rabbitmq")]
pub(crate) mod rabbit;
mod topology;

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;

pub use duplex::Duplex;
pub use error::{BrokerError, BrokerErrorKind};
pub use puller::Puller;
pub use topology::{
    Argument, Arguments, Binding, Declaration, Exchange, ExchangeBinding, ExchangeKind, QueueDeclaration, QueueDepth,
};

use crate::clock::Clock;
use crate::message::Message;
use crate::watch;

/// RabbitMQ by itself, with a thread of its own for its connections. Nothing connects yet.
///
/// # Errors
///
/// The options name a broker in memory, or the operating system gives no thread.
#[cfg(feature = "rabbitmq")]
pub fn rabbit_broker(options: &crate::ConnectOptions) -> Result<Arc<dyn Broker>, BrokerError> {
    let thread = rabbit::AmqpThread::start().map_err(|cause| {
        let text = format!("cannot start the thread that AMQP runs on: {cause}");
        BrokerError::new(BrokerErrorKind::Transport, text)
    })?;
    Ok(Arc::new(rabbit::RabbitBroker::new(options, Arc::new(thread))?))
}

/// Where connections come from.
#[async_trait]
pub trait Broker: Send + Sync + Debug {
    /// Opens one connection. It tries each known host once and obeys its deadline; it never tries again by itself.
    /// `name` is shown to the operator of the broker.
    async fn connect(&self, name: &str) -> Result<Arc<dyn Session>, BrokerError>;

    /// The same, for a connection that somebody leads by: that the client is cut off is noticed by the broker within two of its
    /// heartbeats, where it otherwise takes up to three.
    async fn connect_to_lead(&self, name: &str) -> Result<Arc<dyn Session>, BrokerError> {
        self.connect(name).await
    }

    /// The runtime on which whatever serves its connections shall run; `None`: the caller's.
    fn runtime(&self) -> Option<tokio::runtime::Handle> {
        None
    }

    /// The clock for dates, such as those of schedules: the machine's, unless the broker brings one of its own.
    fn clock(&self) -> Clock {
        Clock::system()
    }
}

/// One connection, from its handshake to its end: a generation. It is never repaired; a new one takes its place.
#[async_trait]
pub trait Session: Send + Sync + Debug {
    /// Declares each in turn, on a channel of its own. Stops at the first that fails and says which (its index).
    async fn declare(&self, declarations: &[Declaration]) -> Result<(), (usize, BrokerError)>;

    /// Asks whether a queue exists (a passive declare) and how full it is.
    async fn inspect(&self, queue: &str) -> Result<QueueDepth, BrokerError>;

    /// Asks whether an exchange exists.
    async fn inspect_exchange(&self, exchange: &str) -> Result<(), BrokerError>;

    /// Opens a channel for publishing with confirms.
    async fn publisher(&self) -> Result<Box<dyn Publisher>, BrokerError>;

    /// Opens a channel and consumes `queue` on it with at most `prefetch` (at least 1) unsettled deliveries.
    ///
    /// When it ends, in whichever way, what it held goes back all at once and in order; in a quorum queue behind what went back before, and
    /// before everything else.
    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError>;

    /// Opens a channel that takes messages of `queue` one at a time. Whether there is such a queue shows at the first
    /// [`Puller::pull`].
    ///
    /// # Errors
    /// [`BrokerErrorKind::Protocol`] from a broker that does not offer it, as one that was written before there was this method.
    async fn puller(&self, queue: &str) -> Result<Box<dyn Puller>, BrokerError> {
        let text = format!("{queue}: this broker gives no single messages");
        Err(BrokerError::new(BrokerErrorKind::Protocol, text))
    }

    /// Takes a name for this connection alone, until it ends in whichever way. `false`: another connection has it.
    ///
    /// # Errors
    /// [`BrokerErrorKind::Protocol`] from a broker that does not offer it, as one that was written before there was this method.
    async fn lock(&self, name: &str) -> Result<bool, BrokerError> {
        let text = format!("{name}: this broker keeps no locks");
        Err(BrokerError::new(BrokerErrorKind::Protocol, text))
    }

    /// Opens one channel that consumes `queue` as [`Session::consume`] does and publishes with confirms as well.
    ///
    /// # Errors
    /// [`BrokerErrorKind::Protocol`] from a broker that does not offer it.
    async fn duplex(&self, queue: &str, prefetch: u16) -> Result<Duplex, BrokerError> {
        let _ = prefetch;
        let text = format!("{queue}: this broker does not consume and publish on one channel");
        Err(BrokerError::new(BrokerErrorKind::Protocol, text))
    }

    /// What is known of the connection now. It changes to [`Health::Closed`] once and stays there.
    fn health(&self) -> watch::Receiver<Health>;

    /// Closes the connection in order, within its deadline.
    async fn close(&self);
}

/// The state of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It works.
    Open,
    /// The broker accepts no publishes for now (an alarm); the reason as it gave it.
    Blocked(String),
    /// It is gone.
    Closed(BrokerError),
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// The exchange; the empty name is the default exchange, whose routing key is a queue's name.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
}

impl Destination {
    /// Straight to a queue, through the default exchange.
    #[must_use]
    pub fn queue(name: impl Into<String>) -> Self {
        Self {
            exchange: String::new(),
            routing_key: name.into(),
        }
    }
}

/// A channel in confirm mode. Exactly one task owns it: that alone keeps confirms and publishes paired.
pub trait Publisher: Send + Debug {
    /// Hands over one message, persistent and mandatory. Never waits; order is kept. `tag` comes back with its answer, and
    /// whoever waits in [`Publisher::poll_answer`] is woken.
    ///
    /// An error means that the message cannot be written in AMQP (a name, key or property of more than 255 bytes): nothing
    /// was sent, and no answer will come for its tag.
    fn publish(&mut self, tag: u64, destination: &Destination, message: &Message) -> Result<(), BrokerError>;

    /// The next answer. `Pending` means that all answers received so far have been given out, which is what pairing returned
    /// messages needs. After [`Answer::Lost`] the channel and all its open tags are gone. A channel with no open tag may
    /// tell of its loss only after the next publish; the session's health tells of a lost connection at once.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer>;

    /// The oldest publish of which not all bytes have left yet, where that can be told: a large body on a slow network is no broker that
    /// does not answer.
    fn writing(&self) -> Option<u64> {
        None
    }
}

/// What the broker said of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// It was confirmed or refused.
    Settled {
        /// The tag of the publish.
        tag: u64,
        /// `true`: acked (stored, or returned as unroutable); `false`: nacked.
        acked: bool,
        /// The id of a returned message that came with this answer. It need not belong to this tag: the broker's return
        /// names no tag, and the client hands the oldest waiting return to whichever confirm completes next.
        returned: Option<String>,
    },
    /// The channel or the connection is gone.
    Lost(BrokerError),
}

/// How a delivery ends. Each use consumes its [`Lease`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// Done: the broker forgets the message.
    Ack,
    /// Back to the queue, to be delivered again.
    Requeue,
    /// Not to be delivered again: to the dead-letter exchange.
    DeadLetter,
}

/// A channel that consumes one queue.
#[async_trait]
pub trait Consumer: Send + Debug {
    /// The next event. After anything but a delivery the stream is over: do not ask again.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ConsumerEvent>;

    /// Settles one delivery. Never waits. A lease of another consumer is refused: it comes back.
    fn settle(&mut self, lease: Lease, settlement: Settlement) -> Result<(), Lease>;

    /// Sends what [`Consumer::settle`] collected; acks of a contiguous prefix go as one. Call it before you wait for an event.
    fn flush(&mut self);

    /// Sends what of it goes as one, the prefix, where the broker can tell; and says how many settled ones are left. Call it where more is about to be
    /// settled: what is behind a delivery that is not settled yet would have to go one by one, and may be part of the prefix soon.
    fn flush_prefix(&mut self) -> usize {
        self.flush();
        0
    }

    /// Stops new deliveries; what the broker had sent before still comes, then [`ConsumerEvent::Cancelled`].
    async fn cancel(&mut self) -> Result<(), BrokerError>;

    /// Flushes, waits until the broker has taken in all settlements, and closes the channel; cancels first if that was not
    /// done. Obeys the close deadline.
    async fn close(self: Box<Self>);
}

/// What comes from a consumer.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all events are deliveries")]
#[non_exhaustive]
pub enum ConsumerEvent {
    /// A message.
    Delivery(Delivery),
    /// The consumer was cancelled: by us, or by the broker (queue deleted, consumer timeout of 4.3). The channel
    /// lives on and deliveries can still be settled.
    Cancelled,
    /// The channel or the connection is gone; unsettled deliveries go back to the queue by themselves.
    Lost(BrokerError),
}

/// A message handed to a consumer, to be settled exactly once.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Whether the broker has delivered it before.
    pub redelivered: bool,
    /// What settles it.
    pub lease: Lease,
}

/// The right to settle one delivery. It cannot be copied, and it is worth something only at the consumer that gave it.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "memory", feature = "rabbitmq")),
    expect(dead_code, reason = "without a broker nobody gives one")
)]
#[must_use = "a delivery that is never settled stays with this consumer until its channel closes"]
pub struct Lease {
    consumer: u64,
    tag: u64,
}

#[cfg(any(feature = "memory", feature = "rabbitmq"))]
impl Lease {
    pub(crate) fn new(consumer: u64, tag: u64) -> Self {
        Self { consumer, tag }
    }

    /// The tag, if the lease was given by `consumer`.
    pub(crate) fn tag_at(&self, consumer: u64) -> Option<u64> {
        (self.consumer == consumer).then_some(self.tag)
    }
}
