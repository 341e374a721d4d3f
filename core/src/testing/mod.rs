//! For the tests of applications: a broker of one's own ([`TestBroker`]), what is in it, and faults on purpose.
//!
//! The broker is the one behind `memory://`: producers and workers run the same code on it as on RabbitMQ, ledger, confirms,
//! reconnects and retries included, and one contract suite holds both brokers to the same promises. It follows Tokio's clock, so
//! tests with `start_paused = true` spend no time on waits.
//!
//! ```
//! use leveret::Job;
//! use leveret::testing::TestBroker;
//! # use leveret::{EnqueueError, Producer};
//! # use serde::{Deserialize, Serialize};
//!
//! # #[derive(Serialize, Deserialize, Job)]
//! # #[job(queue = "mail")]
//! # struct SendWelcome { user_id: u64 }
//! // What is to be tested: a service that enqueues.
//! async fn sign_up(user_id: u64, producer: &Producer) -> Result<(), EnqueueError> {
//!     producer.enqueue(SendWelcome { user_id }).max_attempts(3).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), EnqueueError> {
//! let broker = TestBroker::new();
//!
//! sign_up(7, &broker.producer()).await?;
//!
//! let enqueued = broker.assert_enqueued(&SendWelcome { user_id: 7 });
//! assert_eq!(enqueued.max_attempts(), Some(3));
//! # Ok(())
//! # }
//! ```
//!
//! Handlers and whole workers are tested with `leveret_worker::testing`; `leveret_worker::guide::testing` shows it all at work.
//!
//! # Layout
//! [`TestBroker`] here; `look` reads its queues, `assert` holds them to expectations, `faults` breaks things. `wire` is Leveret's own.

mod assert;
mod faults;
mod look;
// For the fuzz targets: what comes over the wire has no other way in than a broker.
#[cfg(feature = "rabbitmq")]
#[doc(hidden)]
pub mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use look::{DeadLettered, Enqueued};

use crate::broker::memory::MemoryBroker;
use crate::connect::{ConnectOptions, Endpoint};
use crate::producer::Producer;
use crate::rabbit::Rabbit;
use faults::Switches;

/// A broker in memory for one test. Nobody else has it: each one that is made is empty, however many tests run at once. Clones are
/// the same broker; it lives as long as one of them, or a connection to it.
///
/// Make it inside the test, in the runtime that the test runs on: it takes its time from there.
///
/// ```
/// use leveret::testing::TestBroker;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), leveret::ConnectError> {
/// let broker = TestBroker::new();
/// let producer = leveret::Producer::connect(broker.url()).await?; // wherever a URL goes
/// # drop(producer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TestBroker {
    inner: Arc<Inner>,
}

struct Inner {
    broker: MemoryBroker,
    name: String,
    switches: Switches,
}

impl TestBroker {
    /// An empty broker.
    #[must_use]
    pub fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let broker = MemoryBroker::new();
        let name = loop {
            let name = format!("test-{}", LAST.fetch_add(1, Ordering::Relaxed));
            if broker.register(&name) {
                break name;
            }
        };
        let switches = Switches::default();
        broker.set_faults(switches.clone());
        Self {
            inner: Arc::new(Inner { broker, name, switches }),
        }
    }

    /// Its URL, good for as long as this broker or a clone of it lives.
    #[must_use]
    pub fn url(&self) -> String {
        format!("memory://{}", self.inner.name)
    }

    /// The same as options, to be refined.
    #[must_use]
    pub fn options(&self) -> ConnectOptions {
        ConnectOptions::new(Endpoint::Memory {
            name: self.inner.name.clone(),
        })
    }

    /// Connections to it, for a producer and a worker that share them. It does not wait until they stand.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    #[track_caller]
    pub fn rabbit(&self) -> Rabbit {
        match Rabbit::start(self.options()) {
            Ok(rabbit) => rabbit,
            Err(error) => panic!("{error}"),
        }
    }

    /// A producer with connections of its own. It does not wait until they stand.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    #[track_caller]
    pub fn producer(&self) -> Producer {
        self.rabbit().producer()
    }

    /// The broker itself, for everything that has no shorter way here. Its fault plan is this one's: set another with
    /// [`TestBroker::set_faults`].
    #[must_use]
    pub fn memory(&self) -> &MemoryBroker {
        &self.inner.broker
    }

    /// Whether options lead to this broker.
    #[must_use]
    pub fn is_target_of(&self, options: &ConnectOptions) -> bool {
        matches!(options.endpoint(), Endpoint::Memory { name } if *name == self.inner.name)
    }
}

impl Default for TestBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        MemoryBroker::forget(&self.name);
    }
}

impl fmt::Debug for TestBroker {
    /// Shows how full the queues are, not what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBroker")
            .field("url", &self.url())
            .field("broker", &self.inner.broker)
            .finish_non_exhaustive()
    }
}
