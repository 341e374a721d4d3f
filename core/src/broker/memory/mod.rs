//! The in-memory broker: RabbitMQ's behaviour (that of 3.10 where versions differ) without RabbitMQ, for tests,
//! simulations and `memory://`. Nothing survives the process.
//!
//! # Layout
//! - `state`: the broker as a value; no runtime, no lock, no clock
//! - `world`: the state with its clients, their channels and the faults between them
//! - `hub`: the lock round the world
//! - `session`, `publisher`, `consumer`, `puller`: the seam, a thin skin
//! - `operator`: what tests do to the broker from outside
//! - `fault`: what a simulation makes go wrong

mod consumer;
mod fault;
mod hub;
mod operator;
mod publisher;
mod puller;
mod refusal;
mod session;
mod state;
mod timer;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

pub use fault::{Fault, FaultPlan, FaultPoint, Moment};
use hub::Hub;
use session::MemorySession;
pub use state::MemoryDepth;
use world::World;

use crate::broker::{Broker, BrokerError, Session};
use crate::clock::Clock;

/// The brokers behind `memory://name`.
static NAMED: Mutex<BTreeMap<String, MemoryBroker>> = Mutex::new(BTreeMap::new());

/// A broker in memory. Clones are the same broker; it lives as long as one of them, or a connection to it.
///
/// ```
/// use leveret::broker::memory::MemoryBroker;
/// use leveret::broker::{Broker, Declaration, Destination, QueueDeclaration};
/// use leveret::Message;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let broker = MemoryBroker::new();
/// let session = broker.connect("doc").await?;
/// let mail = QueueDeclaration { name: "mail".into(), arguments: Default::default() };
/// session.declare(&[Declaration::Queue(mail)]).await.map_err(|(_, error)| error)?;
///
/// broker.publish_raw(&Destination::queue("mail"), &Message::default())?;
///
/// assert_eq!(broker.depth("mail").map(|depth| depth.ready), Some(1));
/// # Ok::<(), leveret::broker::BrokerError>(())
/// # }).map_err(Box::<dyn std::error::Error>::from)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryBroker {
    hub: Arc<Hub>,
}

impl MemoryBroker {
    /// A broker of its own, on tokio's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::runtime())
    }

    /// A broker of its own on a given clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self::build(clock, None)
    }

    /// A broker of its own in which things go wrong as planned; on tokio's clock.
    #[must_use]
    pub fn with_faults(plan: impl FaultPlan + 'static) -> Self {
        Self::build(Clock::runtime(), Some(Box::new(plan)))
    }

    /// The broker of this name, shared by the whole process; it is made by the first who asks. The empty name is a
    /// name like any other.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let mut brokers = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        brokers.entry(name.to_owned()).or_default().clone()
    }

    /// Gives a broker a name that nobody has, so that URLs lead to it until [`MemoryBroker::forget`].
    #[cfg(feature = "testing")]
    pub(crate) fn register(&self, name: &str) -> bool {
        let mut brokers = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        let vacant = !brokers.contains_key(name);
        if vacant {
            brokers.insert(name.to_owned(), self.clone());
        }
        vacant
    }

    /// Takes a name back. Who is connected stays so.
    #[cfg(feature = "testing")]
    pub(crate) fn forget(name: &str) {
        NAMED.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn build(clock: Clock, faults: Option<Box<dyn FaultPlan>>) -> Self {
        Self {
            hub: Arc::new(Hub::new(World::new(faults), clock)),
        }
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBroker {
    /// Shows how full the queues are, never what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues = self.queues();
        let depths = queues.iter().map(|queue| (queue, self.depth(queue)));
        let depths: BTreeMap<_, _> = depths.filter_map(|(queue, depth)| Some((queue, depth?))).collect();
        f.debug_struct("MemoryBroker")
            .field("queues", &depths)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn clock(&self) -> Clock {
        self.hub.clock
    }

    async fn connect(&self, name: &str) -> Result<Arc<dyn Session>, BrokerError> {
        let fault = self.hub.with(|world| world.fault(FaultPoint::Connect));
        if let Fault::DelayAnswer(delay) = fault {
            tokio::time::sleep(delay).await;
        }
        let (connection, health) = self.hub.with(|world| {
            if let Fault::LoseConnection(Moment::Before) = fault {
                return Err(refusal::refused());
            }
            match fault {
                Fault::FailRpc(_) => return Err(refusal::no_answer("connect")),
                Fault::RefuseLogin => return Err(refusal::login()),
                _ => {}
            }
            let (connection, health) = world.connect(name)?;
            if let Fault::LoseConnection(Moment::After) = fault {
                world.lose_connection(connection, &refusal::lost());
            }
            Ok((connection, health))
        })?;
        Ok(Arc::new(MemorySession::new(Arc::clone(&self.hub), connection, health)))
    }
}
