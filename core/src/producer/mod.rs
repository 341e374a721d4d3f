//! The producing side: [`Producer`] and what an enqueue is made of.

mod enqueue;
mod error;
mod hand_over;
mod middleware;
mod pending;
mod shared;
mod targets;
mod ways;

use std::sync::Arc;

pub use enqueue::{Enqueue, EnqueueFuture, Submit, SubmitFuture};
pub use error::{EnqueueError, TryEnqueueError};
pub use middleware::{EnqueueMiddleware, EnqueueNext};
pub use pending::Pending;
pub(crate) use shared::MAX_DELAY;
use shared::{Receipt, Shared};
pub(crate) use targets::Targets;
pub(crate) use ways::Ways;

use crate::connect::ConnectOptions;
use crate::envelope::{Envelope, Limits};
use crate::id::JobId;
use crate::job::Job;
use crate::lane::Lane;
use crate::queue::Queue;
use crate::rabbit::{ConnectError, Rabbit};

/// Enqueues jobs. Cheap to clone, and shared by any number of tasks: all clones use one connection and one ledger.
///
/// What is enqueued while RabbitMQ cannot be reached waits in the ledger and is sent, in order, when it can be. What was
/// sent but not confirmed is sent again after each reconnect, before anything newer.
///
/// ```
/// use leveret::{Job, Producer};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Job)]
/// #[job(queue = "mail")]
/// struct SendWelcome { user_id: u64 }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let producer = Producer::connect("memory://producer-docs").await?; // or "amqp://localhost"
/// let id = producer.enqueue(SendWelcome { user_id: 7 }).await?; // routed, stored, confirmed
/// println!("enqueued as {id}");
/// producer.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

impl Producer {
    /// Connects to RabbitMQ and gives a producer. To share the connection with other producers and workers of the process,
    /// use [`Rabbit::connect`] and [`Rabbit::producer`].
    ///
    /// # Errors
    /// [`ConnectError`], see [`Rabbit::connect`].
    pub async fn connect<O>(options: O) -> Result<Self, ConnectError>
    where
        O: TryInto<ConnectOptions>,
        O::Error: Into<ConnectError>,
    {
        Ok(Rabbit::connect(options).await?.producer())
    }

    pub(crate) fn new(rabbit: Rabbit, lane: Lane) -> Self {
        let options = rabbit.options();
        let shared = Shared {
            lane,
            targets: rabbit.targets(),
            limits: Limits::default(),
            confirm_timeout: options.deadlines().confirm,
            ways: rabbit.ways(),
            rabbit,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The same producer with a middleware around each enqueue, inside those it has. This handle and its clones have it; others on
    /// the same connection do not.
    #[must_use]
    pub fn with_middleware(self, middleware: impl EnqueueMiddleware) -> Self {
        let ways = self.shared.ways.with_middleware(middleware);
        self.with_ways(ways)
    }

    /// The same producer, sending jobs of type `J` to `queue` instead of their type's queue: a tenant's queue, a staging prefix.
    /// [`Enqueue::queue`] wins over it for one job, and an envelope goes where it says. This handle and its clones have the
    /// route; others on the same connection do not.
    ///
    /// ```
    /// # use leveret::{Job, Producer, Queue};
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct SendWelcome { user_id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = Producer::connect("memory://route-docs").await?;
    /// let staging = producer.route::<SendWelcome>(Queue::named("staging-mail")?);
    /// staging.enqueue(SendWelcome { user_id: 7 }).await?; // in `staging-mail`
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn route<J: Job>(self, queue: Queue) -> Self {
        let ways = self.shared.ways.with_route(J::NAME, queue);
        self.with_ways(ways)
    }

    fn with_ways(self, ways: Ways) -> Self {
        let shared = Shared {
            ways: Arc::new(ways),
            ..(*self.shared).clone()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Enqueues a job. Await the result for the confirm, or set options first:
    ///
    /// ```no_run
    /// # use leveret::{Job, Producer};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct SendWelcome { user_id: u64 }
    /// # async fn example(producer: Producer) -> Result<(), Box<dyn std::error::Error>> {
    /// let id = producer.enqueue(SendWelcome { user_id: 7 }).id("welcome-7").max_attempts(3).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Nothing happens before it is polled. Dropping the future before the ledger has taken the job sends nothing; after that
    /// a drop changes nothing, the job is sent and confirmed all the same.
    pub fn enqueue<J: Job>(&self, job: J) -> Enqueue {
        let envelope = Envelope::new(job).map(|envelope| self.shared.routed::<J>(envelope));
        Enqueue::new(Arc::clone(&self.shared), envelope)
    }

    /// Enqueues a job that was put into an envelope before, such as one from an outbox table.
    ///
    /// ```
    /// # use leveret::{Envelope, Job, Producer};
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct SendWelcome { user_id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let producer = Producer::connect("memory://envelope-docs").await?;
    /// let row = serde_json::to_string(&Envelope::new(SendWelcome { user_id: 7 })?)?; // in your transaction
    ///
    /// let envelope: Envelope = serde_json::from_str(&row)?; // afterwards, as often as it takes
    /// let id = envelope.id().clone();
    /// assert_eq!(producer.enqueue_envelope(envelope).await?, id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enqueue_envelope(&self, envelope: Envelope) -> Enqueue {
        Enqueue::new(Arc::clone(&self.shared), Ok(envelope))
    }

    /// Enqueues many jobs, all on the wire together, and gives one result per job, in the same order. Jobs of one queue
    /// are stored in the order given. For jobs of mixed types use [`Producer::enqueue_envelopes`].
    ///
    /// ```
    /// # use leveret::{Job, Producer};
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct SendWelcome { user_id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let producer = Producer::connect("memory://enqueue-all-docs").await?;
    /// let results = producer.enqueue_all((1..=3).map(|user_id| SendWelcome { user_id })).await;
    /// for failed in results.iter().filter_map(|result| result.as_ref().err()) {
    ///     eprintln!("{failed}");
    /// }
    /// # assert_eq!(results.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn enqueue_all<J: Job>(&self, jobs: impl IntoIterator<Item = J>) -> Vec<Result<JobId, EnqueueError>> {
        let mut pending = Vec::new();
        for job in jobs {
            pending.push(self.enqueue(job).submit().await);
        }
        settle_all(pending).await
    }

    /// Enqueues many envelopes, all on the wire together, and gives one result each, in the same order.
    pub async fn enqueue_envelopes(
        &self,
        envelopes: impl IntoIterator<Item = Envelope>,
    ) -> Vec<Result<JobId, EnqueueError>> {
        let mut pending = Vec::new();
        for envelope in envelopes {
            pending.push(self.enqueue_envelope(envelope).submit().await);
        }
        settle_all(pending).await
    }

    /// Enqueues a job if the ledger has room for it now.
    ///
    /// # Errors
    /// [`TryEnqueueError`] with the job in it, when the ledger is full, when a middleware would have to wait, or when the job cannot
    /// be sent at all. Look at the error's fate: a middleware may have waited after the ledger had taken the job.
    ///
    /// ```
    /// # use leveret::{Job, Producer};
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct SendWelcome { user_id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let producer = Producer::connect("memory://try-enqueue-docs").await?;
    /// match producer.try_enqueue(SendWelcome { user_id: 7 }) {
    ///     Ok(pending) => println!("{} is stored", pending.await?),
    ///     Err(full) => println!("no room for user {}: {}", full.job.user_id, full.error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_enqueue<J: Job>(&self, job: J) -> Result<Pending, TryEnqueueError<J>> {
        let shared = &self.shared;
        let pending = match Envelope::of(&job).map(|envelope| shared.routed::<J>(envelope)) {
            Err(error) => Err(error.into()),
            Ok(envelope) if shared.ways.middlewares.is_empty() => {
                shared.try_hand_over(&envelope, shared.confirm_timeout)
            }
            Ok(envelope) => middleware::try_enqueue(Arc::clone(shared), envelope),
        };
        pending.map_err(|error| TryEnqueueError { job, error })
    }

    /// The connection that this producer uses.
    #[must_use]
    pub fn rabbit(&self) -> &Rabbit {
        &self.shared.rabbit
    }

    /// Waits until what was accepted is confirmed, for the close deadline at the most, then closes the connection for
    /// everyone who shares it.
    pub async fn close(&self) {
        self.shared.rabbit.close().await;
    }
}

async fn settle_all(pending: Vec<Result<Pending, EnqueueError>>) -> Vec<Result<JobId, EnqueueError>> {
    let mut results = Vec::with_capacity(pending.len());
    for pending in pending {
        results.push(match pending {
            Ok(pending) => pending.await,
            Err(error) => Err(error),
        });
    }
    results
}
