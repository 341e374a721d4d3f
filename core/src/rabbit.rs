//! One process's access to the broker: [`Rabbit`].

mod error;
mod leading;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::task::JoinSet;

use crate::broker::{Broker, BrokerError, BrokerErrorKind, Session};
use crate::clock::Clock;
use crate::connect::ConnectOptions;
#[cfg(any(feature = "memory", feature = "rabbitmq"))]
use crate::connect::Endpoint;
use crate::job::Job;
use crate::lane::{Lane, LaneSettings, RoomLimits, lane};
use crate::ledger::Target;
use crate::producer::{EnqueueMiddleware, Producer, Targets, Ways};
use crate::queue::Queue;
use crate::supervisor::{Link, LinkState, supervise};
use crate::topology::{TopologyError, ensure};
use crate::watch;
pub use error::ConnectError;
use leading::ToLead;

/// The part of the ledger's limits that is a worker's own, for retries and dead letters.
const SUCCESSOR_SHARE: usize = 4;

/// The connections of one process, shared by its producers and workers: one for publishing, one for consuming, served by a
/// thread of their own, so that a handler that blocks every thread of the application does not stop the heartbeats.
/// Cheap to clone.
///
/// ```
/// use leveret::Rabbit;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rabbit = Rabbit::connect("memory://rabbit-docs").await?; // or "amqp://localhost"
/// let producer = rabbit.producer();
/// # drop(producer);
/// rabbit.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Rabbit {
    inner: Arc<Inner>,
    /// What the producers of this handle do with their jobs.
    ways: Arc<Ways>,
}

#[derive(Debug)]
struct Inner {
    options: ConnectOptions,
    targets: Arc<Targets>,
    broker: Arc<dyn Broker>,
    clock: Clock,
    runtime: tokio::runtime::Handle,
    publishing: OnceLock<Link>,
    consuming: OnceLock<Link>,
    scheduling: OnceLock<Link>,
    producer_lane: OnceLock<Lane>,
    successor_lane: OnceLock<Lane>,
    tasks: Mutex<Tasks>,
    stops: Stops,
}

/// The tasks that serve this process's connections. Dropping them aborts them.
#[derive(Debug, Default)]
struct Tasks {
    lanes: JoinSet<()>,
    links: JoinSet<()>,
}

/// The signals by which everything ends, in this order.
#[derive(Debug)]
struct Stops {
    lanes: watch::Sender<bool>,
    links: watch::Sender<bool>,
    closed: watch::Sender<bool>,
}

impl Rabbit {
    /// Connects, and waits until the connection stands. While the broker cannot be reached it is tried again, for 30 seconds unless
    /// [`startup_deadline`](ConnectOptions::startup_deadline) says otherwise, and each failed try is logged. Afterwards, and for the rest of
    /// the process's life, lost connections are replaced in the background.
    ///
    /// # Errors
    /// [`ConnectError`]: at once for options that cannot be used, a login that the broker refuses, and a certificate that one of the two sides does
    /// not accept; and after the deadline for a broker that cannot be reached.
    pub async fn connect<O>(options: O) -> Result<Self, ConnectError>
    where
        O: TryInto<ConnectOptions>,
        O::Error: Into<ConnectError>,
    {
        let rabbit = Self::start(options)?;
        match rabbit.first_connection().await {
            Ok(()) => Ok(rabbit),
            Err(error) => {
                rabbit.close().await;
                Err(error)
            }
        }
    }

    /// Begins to connect in the background and does not wait: what is enqueued meanwhile waits in the ledger.
    ///
    /// # Errors
    /// [`ConnectError`] if the options cannot be used, no Tokio runtime is running, or no thread can be started.
    ///
    /// ```no_run
    /// use leveret::Rabbit;
    ///
    /// # async fn example() -> Result<(), leveret::ConnectError> {
    /// let rabbit = Rabbit::start("amqp://localhost")?; // the broker may come up later
    /// let producer = rabbit.producer();
    /// # Ok(())
    /// # }
    /// ```
    pub fn start<O>(options: O) -> Result<Self, ConnectError>
    where
        O: TryInto<ConnectOptions>,
        O::Error: Into<ConnectError>,
    {
        let options = options.try_into().map_err(Into::into)?;
        options.check()?;
        let broker = open_broker(&options)?;
        Self::with_broker(broker, options)
    }

    /// Uses a broker that the caller has made, such as a private in-memory one. The options' address is not used.
    ///
    /// # Errors
    /// [`ConnectError`] if no Tokio runtime is running.
    pub fn with_broker(broker: Arc<dyn Broker>, options: ConnectOptions) -> Result<Self, ConnectError> {
        let runtime = match broker.runtime() {
            Some(handle) => handle,
            None => tokio::runtime::Handle::try_current().map_err(|_| ConnectError::no_runtime())?,
        };
        let inner = Inner {
            targets: Arc::new(Targets::new(options.clone())),
            options,
            broker,
            clock: Clock::runtime(),
            runtime,
            publishing: OnceLock::new(),
            consuming: OnceLock::new(),
            scheduling: OnceLock::new(),
            producer_lane: OnceLock::new(),
            successor_lane: OnceLock::new(),
            tasks: Mutex::default(),
            stops: Stops {
                lanes: watch::Sender::new(false),
                links: watch::Sender::new(false),
                closed: watch::Sender::new(false),
            },
        };
        let rabbit = Self {
            inner: Arc::new(inner),
            ways: Arc::default(),
        };
        let _ = rabbit.publishing();
        Ok(rabbit)
    }

    async fn first_connection(&self) -> Result<(), ConnectError> {
        let deadline = self.inner.options.deadlines().startup;
        tracing::info!(broker = %self.inner.options, ?deadline, "connecting");
        let mut state = self.publishing().state();
        let decided = state.wait_for(|state| match state {
            LinkState::Up { .. } | LinkState::Blocked { .. } | LinkState::Stopped => true,
            LinkState::Down { last_error, .. } => last_error.as_ref().is_some_and(BrokerError::is_refusal),
        });
        let _ = tokio::time::timeout(deadline, decided).await;
        let now = state.borrow().clone();
        match now {
            LinkState::Up { .. } | LinkState::Blocked { .. } => Ok(()),
            LinkState::Down {
                last_error: Some(error),
                ..
            } if error.is_refusal() => Err(ConnectError::broker(error)),
            LinkState::Down { last_error, .. } => Err(ConnectError::late(deadline, last_error)),
            LinkState::Stopped => Err(ConnectError::late(deadline, None)),
        }
    }

    /// A producer on these connections.
    #[must_use]
    pub fn producer(&self) -> Producer {
        Producer::new(self.clone(), self.enqueues())
    }

    /// The lane for what the application enqueues, shared by all producers on these connections.
    #[must_use]
    pub fn enqueues(&self) -> Lane {
        self.inner.producer_lane.get_or_init(|| self.new_lane(1)).clone()
    }

    /// Makes sure now, as the topology mode says, that all is there that a queue needs. Producers and workers do that by
    /// themselves; this is for a step of a deployment that shall do it beforehand, with other rights perhaps. It waits for a
    /// connection for the deadline of one request at the most.
    ///
    /// # Errors
    /// [`TopologyError`] naming what failed and what to do about it.
    ///
    /// ```
    /// use leveret::{Queue, Rabbit};
    ///
    /// const MAIL: Queue = Queue::new("mail");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rabbit = Rabbit::connect("memory://declare-docs").await?; // or "amqp://owner:secret@localhost"
    /// rabbit.declare(&MAIL).await?;
    /// # rabbit.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn declare(&self, queue: &Queue) -> Result<(), TopologyError> {
        self.ensure(queue, &self.inner.targets.of(queue)).await
    }

    /// Like [`declare`](Self::declare), and also what the queue's delayed jobs and retries need: the delay ladder, which all queues of a vhost
    /// share. Otherwise the first job that has to wait makes it.
    ///
    /// # Errors
    /// [`TopologyError`] naming what failed and what to do about it.
    pub async fn declare_with_delays(&self, queue: &Queue) -> Result<(), TopologyError> {
        self.ensure(queue, &self.inner.targets.delayed(queue)).await
    }

    async fn ensure(&self, queue: &Queue, target: &Target) -> Result<(), TopologyError> {
        let options = self.options();
        let mut state = self.publishing().state();
        let connected = state.wait_for(|state| state.session().is_some());
        let _ = tokio::time::timeout(options.deadlines().rpc, connected).await;
        let now = state.borrow().clone();
        let session = match &now {
            LinkState::Up { session, .. } | LinkState::Blocked { session, .. } => session,
            LinkState::Down {
                last_error: Some(error),
                ..
            } => return Err(TopologyError::no_connection(queue, error.clone())),
            _ => {
                let error = BrokerError::new(BrokerErrorKind::Closed, "there is no connection to the broker");
                return Err(TopologyError::no_connection(queue, error));
            }
        };
        ensure(&**session, options.topology_mode(), &target.declarations).await
    }

    /// The same connections, with a middleware around each enqueue of the producers made by this handle and its clones, those of the
    /// handlers of a worker on it included. The first that is added is the outermost.
    #[must_use]
    pub fn with_middleware(mut self, middleware: impl EnqueueMiddleware) -> Self {
        self.ways = Arc::new(self.ways.with_middleware(middleware));
        self
    }

    /// The same connections, with a [route](Producer::route) in all producers made by this handle and its clones, those of the handlers
    /// of a worker on it included.
    #[must_use]
    pub fn route<J: Job>(mut self, queue: Queue) -> Self {
        self.ways = Arc::new(self.ways.with_route(J::NAME, queue));
        self
    }

    /// Where the jobs of each queue go, worked out once for all producers.
    pub(crate) fn targets(&self) -> Arc<Targets> {
        Arc::clone(&self.inner.targets)
    }

    pub(crate) fn ways(&self) -> Arc<Ways> {
        Arc::clone(&self.ways)
    }

    /// Waits until the thread that serves these connections gets round to something new: at once, unless something blocks it. For who tells
    /// whether a process is alive; that the broker is away keeps nobody waiting.
    pub async fn turn(&self) {
        // Ended with this future.
        let mut turn = JoinSet::new();
        turn.spawn_on(async {}, &self.inner.runtime);
        turn.join_next().await;
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &ConnectOptions {
        &self.inner.options
    }

    /// The clock that deadlines are measured by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// The clock that dates are read from, those of schedules among them: the machine's, which follows its corrections, or that of
    /// a broker in memory, which stands still in paused time.
    #[must_use]
    pub fn calendar(&self) -> Clock {
        self.inner.broker.clock()
    }

    /// The connection for publishing.
    #[must_use]
    pub fn publishing(&self) -> Link {
        self.inner.publishing.get_or_init(|| self.new_link("publish")).clone()
    }

    /// The connection for consuming; it is opened at the first call. Apart from the other one, because a broker that blocks
    /// publishers stops reading from their connection, acks included.
    #[must_use]
    pub fn consuming(&self) -> Link {
        self.inner.consuming.get_or_init(|| self.new_link("consume")).clone()
    }

    /// The connection for schedules; it is opened at the first call. Apart from the others, because that a leader is cut off has to be noticed sooner
    /// than that a consumer is: [`Broker::connect_to_lead`].
    #[must_use]
    pub fn scheduling(&self) -> Link {
        let to_lead = || {
            let broker = Arc::new(ToLead(Arc::clone(&self.inner.broker)));
            self.new_link_to(broker, "schedule")
        };
        self.inner.scheduling.get_or_init(to_lead).clone()
    }

    /// The lane for the successors of a worker's jobs: retries and dead letters. It has a share of memory and a channel of
    /// its own, so that handlers that enqueue cannot starve it.
    #[must_use]
    pub fn successors(&self) -> Lane {
        self.inner
            .successor_lane
            .get_or_init(|| self.new_lane(SUCCESSOR_SHARE))
            .clone()
    }

    /// One more connection, for the caller alone. Nobody replaces it when it is lost.
    pub(crate) async fn session_of_its_own(&self, purpose: &str) -> Result<Arc<dyn Session>, BrokerError> {
        let closed = || BrokerError::new(BrokerErrorKind::Closed, "the connections of this process are closed");
        if *self.inner.stops.lanes.subscribe().borrow() {
            return Err(closed());
        }
        let broker = Arc::clone(&self.inner.broker);
        let name = format!("{} ({purpose})", self.inner.options.name());
        // Ended with this future. It runs where all connections are served.
        let mut connecting = JoinSet::new();
        connecting.spawn_on(async move { broker.connect(&name).await }, &self.inner.runtime);
        match connecting.join_next().await {
            Some(Ok(connected)) => connected,
            _ => Err(closed()),
        }
    }

    fn new_link(&self, purpose: &str) -> Link {
        self.new_link_to(Arc::clone(&self.inner.broker), purpose)
    }

    fn new_link_to(&self, broker: Arc<dyn Broker>, purpose: &str) -> Link {
        let inner = &*self.inner;
        let name = format!("{} ({purpose})", inner.options.name());
        let stop = inner.stops.links.subscribe();
        let (link, task) = supervise(broker, name, inner.clock, stop);
        self.spawn(|tasks| &mut tasks.links, task);
        link
    }

    fn new_lane(&self, share: usize) -> Lane {
        let inner = &*self.inner;
        let limits = inner.options.ledger_limits();
        let settings = LaneSettings {
            link: self.publishing(),
            clock: inner.clock,
            mode: inner.options.topology_mode(),
            limits: RoomLimits {
                entries: (limits.jobs / share).max(1),
                bytes: (limits.bytes / share).max(1),
            },
            flush: inner.options.deadlines().close,
        };
        let (lane, task) = lane(settings, inner.stops.lanes.subscribe());
        self.spawn(|tasks| &mut tasks.lanes, task);
        lane
    }

    fn spawn(
        &self,
        kind: impl FnOnce(&mut Tasks) -> &mut JoinSet<()>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        kind(&mut tasks).spawn_on(task, &self.inner.runtime);
    }

    /// Waits until what was accepted is confirmed, for the close deadline (5 seconds by default) at the most, closes the
    /// connections and joins every task. Producers and workers on them stop. Calling it again waits for the same.
    pub async fn close(&self) {
        let stops = &self.inner.stops;
        if stops.lanes.send_replace(true) {
            // Somebody else is closing.
            let _ = stops.closed.subscribe().wait_for(|closed| *closed).await;
            return;
        }
        // Whoever waits for the close must not wait for ever if this future is dropped.
        let _told = TellClosed(&stops.closed);
        let tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let Tasks { lanes, links } = tasks;
        lanes.join_all().await;
        stops.links.send_replace(true);
        links.join_all().await;
    }
}

struct TellClosed<'a>(&'a watch::Sender<bool>);

impl Drop for TellClosed<'_> {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

fn open_broker(options: &ConnectOptions) -> Result<Arc<dyn Broker>, ConnectError> {
    match options.endpoint() {
        #[cfg(feature = "rabbitmq")]
        Endpoint::Amqp(_) => crate::broker::rabbit_broker(options).map_err(ConnectError::broker),
        #[cfg(feature = "memory")]
        Endpoint::Memory { name } => {
            tracing::warn!(
                name,
                "the in-memory broker is used: nothing in it survives this process"
            );
            Ok(Arc::new(crate::broker::memory::MemoryBroker::named(name)))
        }
        #[allow(unreachable_patterns, reason = "reachable only with one of the two features off")]
        _ => Err(ConnectError::feature_off()),
    }
}
