//! One enqueue and its options: [`Enqueue`].

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use super::Shared;
use super::error::EnqueueError;
use super::hand_over::{Enqueuing, HandOver};
use super::pending::Pending;
use super::shared::MAX_DELAY;
use crate::envelope::{Envelope, EnvelopeError};
use crate::id::JobId;
use crate::message::HeaderValue;
use crate::name::NameError;
use crate::queue::Queue;

/// A job about to be enqueued. Await it: `Ok(id)` means that it was routed, stored and confirmed. Or [`submit`](Self::submit)
/// it and await the confirm later. A setting that cannot be used is reported when it is awaited.
#[derive(Debug)]
#[must_use = "nothing is enqueued until this is awaited"]
pub struct Enqueue {
    pub(super) shared: Arc<Shared>,
    pub(super) envelope: Result<Envelope, EnvelopeError>,
    pub(super) confirm_timeout: Duration,
}

impl Enqueue {
    pub(super) fn new(shared: Arc<Shared>, envelope: Result<Envelope, EnvelopeError>) -> Self {
        let confirm_timeout = shared.confirm_timeout;
        Self {
            shared,
            envelope,
            confirm_timeout,
        }
    }

    fn map(mut self, change: impl FnOnce(Envelope) -> Result<Envelope, EnvelopeError>) -> Self {
        self.envelope = self.envelope.and_then(change);
        self
    }

    /// Sends the job to this queue, whatever its type or a route says.
    pub fn queue(self, queue: &Queue) -> Self {
        self.map(|envelope| Ok(envelope.with_queue(queue.clone())))
    }

    /// Sets the job's id, 1 to 255 bytes. It names this one job: never use it for another, today's report is not yesterday's. To
    /// try again a job whose fate is unknown, give it the id it had.
    pub fn id<I>(self, id: I) -> Self
    where
        I: TryInto<JobId>,
        I::Error: Into<NameError>,
    {
        self.map(|envelope| match id.try_into() {
            Ok(id) => Ok(envelope.with_id(id)),
            Err(reason) => Err(EnvelopeError::JobId { reason: reason.into() }),
        })
    }

    /// Links the job to others; a handler reads it from its context. 1 to 255 bytes.
    pub fn correlation_id(self, id: impl Into<String>) -> Self {
        self.map(|envelope| envelope.with_correlation_id(id))
    }

    /// How many runs this one job gets, the first included; it wins over the job type's number.
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.map(|envelope| Ok(envelope.with_max_attempts(attempts)))
    }

    /// How long one attempt of this one job may run, to the millisecond; it wins over the job type's limit.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|envelope| Ok(envelope.with_timeout(timeout)))
    }

    /// How long the job is wanted, from now on. An attempt that would begin later does not, whether the job waited in its queue, for a delay
    /// or for a retry: the job becomes a dead letter with the reason `expired`. So does a failed job whose next attempt would come too late.
    /// It wins over the type's `expires_in`, and is measured by the worker's clock: keep the machines' clocks in step.
    ///
    /// ```
    /// # use leveret::{Job, Producer};
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "sms")]
    /// # struct SendCode { code: u32 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = Producer::connect("memory://expiry-docs").await?;
    /// producer.enqueue(SendCode { code: 4711 }).expires_in(Duration::from_secs(300)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn expires_in(self, time: Duration) -> Self {
        let now = self.shared.rabbit.clock().wall();
        self.map(|envelope| Ok(envelope.expiring_in(time, now)))
    }

    /// Until when the job is wanted; see [`expires_in`](Self::expires_in).
    pub fn expires_at(self, time: SystemTime) -> Self {
        self.map(|envelope| Ok(envelope.with_expiry(time)))
    }

    /// Has the job run after this wait, and not before: a year at the most, from now. Awaited, `Ok(id)` means that it is stored and waits in
    /// RabbitMQ; neither this process nor a worker holds it. See [`at`](Self::at) for how exact that is.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use leveret::{Job, Producer};
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct SendReminder { user_id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = Producer::connect("memory://delay-docs").await?; // or "amqp://localhost"
    /// let id = producer.enqueue(SendReminder { user_id: 7 }).delay(Duration::from_secs(90)).await?;
    /// println!("{id} is stored, and runs in a minute and a half");
    /// # Ok(())
    /// # }
    /// ```
    pub fn delay(self, wait: Duration) -> Self {
        let now = self.shared.rabbit.clock().wall();
        // What no clock can tell is more than a year ahead as well.
        let at = now.checked_add(wait).unwrap_or(now + 2 * MAX_DELAY);
        self.at(at)
    }

    /// Has the job run at this time, and not before: within a year from now, and at once if the time is over. It wins over
    /// [`Envelope::with_due`].
    ///
    /// What counts is this machine's clock, each time the job is sent: an outage of RabbitMQ makes a job later only if it outlasts the wait. After
    /// that the broker's clock measures what is left, rounded up to 100 ms, and a few milliseconds for each power of two in it.
    /// A clock that is set back or forward on either machine meanwhile moves the job by as much.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use leveret::{Envelope, Job, Producer};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct SendReminder { user_id: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let producer = Producer::connect("memory://at-docs").await?;
    /// let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    /// producer.enqueue(SendReminder { user_id: 7 }).at(tomorrow).await?;
    ///
    /// let stored = Envelope::new(SendReminder { user_id: 8 })?.with_due(tomorrow); // for an outbox
    /// producer.enqueue_envelope(stored).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn at(self, at: SystemTime) -> Self {
        self.map(|envelope| Ok(envelope.with_due(at)))
    }

    /// Adds a header of the application's own.
    pub fn header(self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
        self.map(|envelope| envelope.with_header(name, value))
    }

    /// How long to wait for the confirm, waiting for room in the ledger included. 30 seconds unless configured.
    /// Afterwards a job that was never sent is given up for good; one that was sent has an unknown fate.
    pub fn confirm_timeout(mut self, timeout: Duration) -> Self {
        self.confirm_timeout = timeout;
        self
    }

    /// Hands the job to the ledger; the future resolves as soon as it is in there, which may have to wait for room.
    ///
    /// ```no_run
    /// # async fn example<J: leveret::Job>(producer: leveret::Producer, one: J, two: J) -> Result<(), leveret::EnqueueError> {
    /// let one = producer.enqueue(one).submit().await?;
    /// let two = producer.enqueue(two).submit().await?; // both are on their way
    /// one.await?;
    /// two.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit(self) -> Submit {
        Submit(self)
    }
}

impl IntoFuture for Enqueue {
    type Output = Result<JobId, EnqueueError>;
    type IntoFuture = EnqueueFuture;

    fn into_future(self) -> EnqueueFuture {
        EnqueueFuture(Enqueuing::HandingOver(HandOver::Begun(self)))
    }
}

/// The future of an [`Enqueue`].
#[must_use = "futures do nothing unless polled"]
pub struct EnqueueFuture(Enqueuing);

impl Future for EnqueueFuture {
    type Output = Result<JobId, EnqueueError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for EnqueueFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnqueueFuture").finish_non_exhaustive()
    }
}

/// A job about to be handed to the ledger; see [`Enqueue::submit`].
#[derive(Debug)]
#[must_use = "nothing is enqueued until this is awaited"]
pub struct Submit(Enqueue);

impl IntoFuture for Submit {
    type Output = Result<Pending, EnqueueError>;
    type IntoFuture = SubmitFuture;

    fn into_future(self) -> SubmitFuture {
        SubmitFuture(HandOver::Begun(self.0))
    }
}

/// The future of a [`Submit`].
#[must_use = "futures do nothing unless polled"]
pub struct SubmitFuture(HandOver);

impl Future for SubmitFuture {
    type Output = Result<Pending, EnqueueError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for SubmitFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitFuture").finish_non_exhaustive()
    }
}
