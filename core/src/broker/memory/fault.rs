//! Faults on purpose: what a simulation makes the broker do at each step.

use std::time::Duration;

/// Decides what goes wrong where. It is asked at every step in which the broker takes part, in the order in which they
/// happen, so a plan that draws from a seeded generator makes the same run each time.
///
/// Any `FnMut(FaultPoint) -> Fault + Send` is one.
///
/// ```
/// use leveret::broker::memory::{Fault, FaultPoint, MemoryBroker, Moment};
///
/// let mut publishes = 0;
/// let broker = MemoryBroker::with_faults(move |point| {
///     publishes += u32::from(point == FaultPoint::Publish);
///     match publishes {
///         3 => Fault::LoseConnection(Moment::After), // stored, and nobody will ever hear of it
///         _ => Fault::None,
///     }
/// });
/// # drop(broker);
/// ```
pub trait FaultPlan: Send {
    /// What happens at this step.
    fn at(&mut self, point: FaultPoint) -> Fault;
}

impl<F: FnMut(FaultPoint) -> Fault + Send> FaultPlan for F {
    fn at(&mut self, point: FaultPoint) -> Fault {
        self(point)
    }
}

/// A step at which something can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FaultPoint {
    /// A connection is opened.
    Connect,
    /// One exchange, queue or binding is declared.
    Declare,
    /// A queue or exchange is asked after.
    Inspect,
    /// A channel for publishing is opened.
    OpenPublisher,
    /// A message reaches the broker.
    Publish,
    /// Several confirms reach the client at once; see [`Fault::Shuffle`].
    Batch,
    /// One answer is about to be given out by `poll_answer`.
    Answer,
    /// A consumer is started.
    Consume,
    /// One delivery is about to be given out by `poll_event`.
    Deliver,
    /// A queue is asked for one message.
    Pull,
    /// One delivery is settled.
    Settle,
    /// The collected settlements are sent.
    Flush,
    /// A consumer is cancelled by its client.
    Cancel,
    /// A consumer or a connection is closed by its client.
    Close,
}

/// What goes wrong. A fault that makes no sense at a step does nothing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection breaks, before or after the broker did what was asked. At [`FaultPoint::Answer`] and
    /// [`FaultPoint::Deliver`] everything that waits with it is lost on the way as well if it breaks before.
    LoseConnection(Moment),
    /// The broker closes the channel.
    KillChannel(Moment),
    /// The answer to a command does not come within its deadline.
    FailRpc(Moment),
    /// The answer to a publish never comes.
    LoseAnswer,
    /// The answer comes later: to a publish, a command or a connect.
    DelayAnswer(Duration),
    /// The publish is refused.
    Nack,
    /// The user may not do that, as after `rabbitmqctl set_permissions`: the broker closes the channel.
    Forbid,
    /// The login is refused ([`FaultPoint::Connect`]), as over a wrong password.
    RefuseLogin,
    /// The broker cancels the consumer ([`FaultPoint::Deliver`]).
    CancelConsumer,
    /// The broker forgets the consumer and tells nobody ([`FaultPoint::Consume`], [`FaultPoint::Deliver`]): what is on its way still comes,
    /// and then nothing more, while its channel lives on.
    ForgetConsumer,
    /// The confirms of a batch resolve in an order made from this seed ([`FaultPoint::Batch`]). Each takes the oldest
    /// returned message that waits, as RabbitMQ's client does it: the ids of returned messages land on strangers.
    Shuffle(u64),
}

/// Whether a fault hits before or after the broker has done what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It did not happen.
    Before,
    /// It happened, but whoever asked does not hear of it.
    After,
}

/// Puts a batch into an order that depends on the seed alone.
pub(super) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        items.swap(last, next(&mut state) as usize % (last + 1));
    }
}

/// Splitmix64: enough to mix an order, and the same everywhere.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
