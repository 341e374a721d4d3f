//! What the application puts around the enqueuing of its jobs: [`EnqueueMiddleware`] and [`EnqueueNext`].

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::error::{EnqueueError, NotHandedOn};
use super::pending::Pending;
use super::{Receipt, Shared};
use crate::envelope::Envelope;
use crate::ledger::Fate;

/// Something that is done around every enqueue: a header for all jobs, a quota, a count, a measured time.
///
/// It is given the job's [`Envelope`] and what comes next, which hands it to the ledger. It may change the envelope, or refuse it; through
/// [`Pending::inspect`] it learns what became of it. Add it with
/// [`Producer::with_middleware`](crate::Producer::with_middleware), or for all producers with
/// [`Rabbit::with_middleware`](crate::Rabbit::with_middleware).
///
#[cfg_attr(feature = "memory", doc = "```")]
#[cfg_attr(not(feature = "memory"), doc = "```ignore")]
/// use leveret::{EnqueueError, EnqueueMiddleware, EnqueueNext, Envelope, Pending, Producer, async_trait};
/// use std::time::Instant;
///
/// struct Tenant(&'static str);
///
/// #[async_trait]
/// impl EnqueueMiddleware for Tenant {
///     async fn enqueue(&self, envelope: Envelope, next: EnqueueNext) -> Result<Pending, EnqueueError> {
///         if envelope.body().len() > 100_000 {
///             return Err(EnqueueError::refuse(&envelope, "this tenant sends small jobs only"));
///         }
///         let began = Instant::now();
///         let pending = next.run(envelope.with_header("tenant", self.0)?).await?;
///         Ok(pending.inspect(move |result| match result {
///             Some(Ok(id)) => println!("{id} stored after {:?}", began.elapsed()),
///             Some(Err(error)) => println!("{error}"),
///             None => println!("nobody waited to see"),
///         }))
///     }
/// }
///
/// # use leveret::Job;
/// # #[derive(serde::Serialize, serde::Deserialize, Job)]
/// # #[job(queue = "mail")]
/// # struct SendWelcome { user_id: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let producer = Producer::connect("memory://middleware-docs").await?.with_middleware(Tenant("eu"));
/// producer.enqueue(SendWelcome { user_id: 7 }).await?;
/// # Ok(())
/// # }
/// ```
///
/// # What it must know
/// - It runs once for each enqueue. What the ledger later sends again, it sends as it was accepted.
/// - `next` answers as soon as the ledger has taken the job. One that awaits the [`Pending`] itself has every job of an
///   `enqueue_all` wait for the confirm of the one before.
/// - Once `next` has answered `Ok`, the job is on its way, whatever happens to the middleware. An error of its own that it returns
///   afterwards is told as [`Fate::Unknown`](crate::Fate::Unknown), with the job's id.
/// - The job's confirm timeout counts for it too.
/// - In `try_enqueue` nothing may wait: where a middleware has to, the job comes back ([`EnqueueError::is_not_ready`]).
#[async_trait]
pub trait EnqueueMiddleware: Send + Sync + 'static {
    /// Enqueues one job: `next.run(envelope).await`, and whatever is to be done before and after it.
    ///
    /// # Errors
    /// What `next` says, or the middleware's own refusal: [`EnqueueError::refuse`].
    async fn enqueue(&self, envelope: Envelope, next: EnqueueNext) -> Result<Pending, EnqueueError>;
}

#[async_trait]
impl<M: EnqueueMiddleware + ?Sized> EnqueueMiddleware for Arc<M> {
    async fn enqueue(&self, envelope: Envelope, next: EnqueueNext) -> Result<Pending, EnqueueError> {
        (**self).enqueue(envelope, next).await
    }
}

/// What is left of an enqueue: the middlewares further in, and the hand-over to the ledger. It is owned, so it can be moved into a task.
#[derive(Debug)]
pub struct EnqueueNext {
    passage: Arc<Passage>,
    position: usize,
}

impl EnqueueNext {
    /// Hands the job on. `Ok` means that the ledger has it.
    ///
    /// # Errors
    /// [`EnqueueError`] if it was not taken.
    pub async fn run(mut self, envelope: Envelope) -> Result<Pending, EnqueueError> {
        let passage = self.passage.clone();
        match passage.shared.ways.middlewares.get(self.position) {
            Some(middleware) => {
                self.position += 1;
                middleware.enqueue(envelope, self).await
            }
            None => passage.hand_over(&envelope).await,
        }
    }
}

/// One enqueue on its way through the middlewares.
struct Passage {
    shared: Arc<Shared>,
    /// When the caller stops waiting for the confirm.
    deadline: Instant,
    /// Whether the ledger may keep the job waiting for room.
    may_wait: bool,
    place: Mutex<Place>,
}

/// Where the job is. A middleware may have moved what comes next into a task, which goes on when the caller has gone.
#[derive(Debug)]
enum Place {
    /// With the middlewares.
    OnTheWay,
    /// Before the ledger, which may take it at any moment.
    AtTheLedger,
    /// In the ledger.
    Accepted(Receipt),
    /// Nowhere: the caller was told so, or has gone, before the ledger had it. It is not taken any more.
    TurnedBack,
}

impl Passage {
    async fn hand_over(&self, envelope: &Envelope) -> Result<Pending, EnqueueError> {
        let mut visit = match self.knock() {
            Some(visit) => visit,
            None => return Err(EnqueueError::not_handed_on(Receipt::of(envelope), NotHandedOn::InTime)),
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let pending = match self.may_wait {
            true => self.shared.hand_over(envelope, left).await?,
            false => self.shared.try_hand_over(envelope, left)?,
        };
        visit.accepted = Some(pending.receipt().clone());
        Ok(pending)
    }

    /// Goes to the ledger, unless the caller has gone.
    fn knock(&self) -> Option<Visit<'_>> {
        let mut place = self.place();
        match *place {
            Place::TurnedBack => None,
            _ => {
                *place = Place::AtTheLedger;
                Some(Visit {
                    passage: self,
                    accepted: None,
                })
            }
        }
    }

    /// The caller stops waiting: what the ledger has not taken yet it does not take any more. `true`: it has the job, or may take it
    /// at any moment.
    fn turn_back(&self) -> bool {
        let mut place = self.place();
        match *place {
            Place::OnTheWay => *place = Place::TurnedBack,
            Place::TurnedBack => {}
            Place::AtTheLedger | Place::Accepted(_) => return true,
        }
        false
    }

    /// What the caller is told, given what the middlewares say: nothing that contradicts what the ledger has.
    fn told(&self, receipt: Receipt, result: Result<Pending, EnqueueError>) -> Result<Pending, EnqueueError> {
        let error = match result {
            Ok(pending) => return Ok(pending),
            Err(error) => error,
        };
        let receipt = match &*self.place() {
            Place::Accepted(accepted) => accepted.clone(),
            _ => receipt,
        };
        // A middleware may have enqueued another job, whose end is not this one's.
        let is_its_own = error.is_of_the_ledger() && error.id() == Some(&receipt.id);
        match self.turn_back() && !is_its_own {
            true => Err(EnqueueError::new(receipt, Fate::Unknown)),
            false => Err(error),
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // A panic while the lock was held cannot have left half a place.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One hand-over. However it ends, a drop in its middle included, it is known afterwards where the job is.
struct Visit<'a> {
    passage: &'a Passage,
    accepted: Option<Receipt>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        *self.passage.place() = match self.accepted.take() {
            Some(receipt) => Place::Accepted(receipt),
            None => Place::OnTheWay,
        };
    }
}

/// The caller. When it goes, what the ledger has not taken is not taken any more.
struct Caller(Arc<Passage>);

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.0.turn_back();
    }
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage")
            .field("place", &*self.place())
            .finish_non_exhaustive()
    }
}

fn start(shared: Arc<Shared>, timeout: Duration, may_wait: bool) -> (Caller, EnqueueNext) {
    let now = Instant::now();
    let passage = Arc::new(Passage {
        shared,
        // A deadline that no clock can reach is a year here: nobody waits longer.
        deadline: now
            .checked_add(timeout.min(Duration::from_secs(86_400 * 365)))
            .unwrap_or(now),
        may_wait,
        place: Mutex::new(Place::OnTheWay),
    });
    let next = EnqueueNext {
        passage: passage.clone(),
        position: 0,
    };
    (Caller(passage), next)
}

/// Through the middlewares into the ledger, waiting for either no longer than `timeout`.
pub(super) async fn enqueue(
    shared: Arc<Shared>,
    envelope: Envelope,
    timeout: Duration,
) -> Result<Pending, EnqueueError> {
    let receipt = Receipt::of(&envelope);
    let (caller, next) = start(shared, timeout, true);
    let passage = &caller.0;
    let result = timeout_at(passage.deadline, next.run(envelope)).await;
    let late = |_| Err(EnqueueError::not_handed_on(receipt.clone(), NotHandedOn::InTime));
    passage.told(receipt.clone(), result.unwrap_or_else(late))
}

/// The same without waiting for anything: the middlewares are polled once.
pub(super) fn try_enqueue(shared: Arc<Shared>, envelope: Envelope) -> Result<Pending, EnqueueError> {
    let receipt = Receipt::of(&envelope);
    let timeout = shared.confirm_timeout;
    let (caller, next) = start(shared, timeout, false);
    let result = match pin!(next.run(envelope)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(EnqueueError::not_handed_on(receipt.clone(), NotHandedOn::AtOnce)),
    };
    caller.0.told(receipt, result)
}
