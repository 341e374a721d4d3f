//! Why a job was not enqueued: [`EnqueueError`].

use std::fmt;

use super::Receipt;
use crate::envelope::{Envelope, EnvelopeError};
use crate::id::JobId;
use crate::ledger::{Fate, Why};

/// A job was not enqueued, or nobody knows whether it was; [`EnqueueError::fate`] tells which.
///
/// ```no_run
/// use leveret::{Fate, Job, Producer};
///
/// # async fn example<J: Job + Clone>(producer: Producer, job: J) {
/// if let Err(error) = producer.enqueue(job.clone()).await {
///     match error.fate() {
///         // Trying again unchanged would most likely end the same way.
///         Fate::Refused(why) => eprintln!("refused: {why}"),
///         // It is not in the broker: trying again cannot duplicate it.
///         Fate::NotSent => drop(producer.enqueue(job).await),
///         // It may be in the broker: trying again under its old id keeps its identity.
///         Fate::Unknown => {
///             if let Some(id) = error.id() {
///                 drop(producer.enqueue(job).id(id.clone()).await);
///             }
///         }
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EnqueueError {
    receipt: Option<Receipt>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// It could not be made into a message.
    Invalid(String),
    /// A middleware of the producer refused it.
    Forbidden(String),
    /// A middleware of the producer kept it.
    NotHandedOn(NotHandedOn),
    /// The connections were closed for good.
    Closed,
    /// The ledger had no room, and the caller did not want to wait.
    LedgerFull,
    /// The ledger tells how it ended.
    Ended(Fate),
}

/// When a middleware should have handed a job on.
#[derive(Debug, Clone, Copy)]
pub(super) enum NotHandedOn {
    /// Within the confirm timeout.
    InTime,
    /// Without waiting for anything.
    AtOnce,
}

impl EnqueueError {
    /// The refusal of an [`EnqueueMiddleware`](crate::EnqueueMiddleware), told to whoever enqueues: [`Fate::Refused`] with
    /// [`Why::Middleware`].
    #[must_use]
    pub fn refuse(envelope: &Envelope, reason: impl Into<String>) -> Self {
        Self {
            receipt: Some(Receipt::of(envelope)),
            kind: Kind::Forbidden(reason.into()),
        }
    }

    pub(super) fn not_handed_on(receipt: Receipt, when: NotHandedOn) -> Self {
        Self {
            receipt: Some(receipt),
            kind: Kind::NotHandedOn(when),
        }
    }

    /// Whether it is the ledger that says how the job ended.
    pub(super) fn is_of_the_ledger(&self) -> bool {
        matches!(self.kind, Kind::Ended(_))
    }

    pub(super) fn new(receipt: Receipt, fate: Fate) -> Self {
        Self {
            receipt: Some(receipt),
            kind: Kind::Ended(fate),
        }
    }

    pub(super) fn invalid(receipt: Option<Receipt>, reason: String) -> Self {
        Self {
            receipt,
            kind: Kind::Invalid(reason),
        }
    }

    pub(super) fn ledger_full(receipt: Receipt) -> Self {
        Self {
            receipt: Some(receipt),
            kind: Kind::LedgerFull,
        }
    }

    pub(super) fn closed(receipt: Receipt) -> Self {
        Self {
            receipt: Some(receipt),
            kind: Kind::Closed,
        }
    }

    /// What became of the job.
    #[must_use]
    pub fn fate(&self) -> Fate {
        match &self.kind {
            Kind::Invalid(reason) => Fate::Refused(Why::Unsendable(reason.clone())),
            Kind::Forbidden(reason) => Fate::Refused(Why::Middleware(reason.clone())),
            Kind::LedgerFull | Kind::Closed | Kind::NotHandedOn(_) => Fate::NotSent,
            Kind::Ended(fate) => fate.clone(),
        }
    }

    /// The job's id; `None` if it never got one, because it could not be made into a message.
    #[must_use]
    pub fn id(&self) -> Option<&JobId> {
        self.receipt.as_ref().map(|receipt| &receipt.id)
    }

    /// Whether the ledger was full.
    #[must_use]
    pub fn is_ledger_full(&self) -> bool {
        matches!(self.kind, Kind::LedgerFull)
    }

    /// Whether a middleware of the producer refused the job.
    #[must_use]
    pub fn is_refused_by_middleware(&self) -> bool {
        matches!(self.kind, Kind::Forbidden(_))
    }

    /// Whether a middleware of the producer would have had to wait, which `try_enqueue` cannot do; `enqueue` can.
    #[must_use]
    pub fn is_not_ready(&self) -> bool {
        matches!(self.kind, Kind::NotHandedOn(NotHandedOn::AtOnce))
    }

    /// Whether the broker returned the job because no queue was there for it.
    #[must_use]
    pub fn is_unroutable(&self) -> bool {
        matches!(self.kind, Kind::Ended(Fate::Refused(Why::Unroutable)))
    }
}

impl fmt::Display for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.receipt {
            Some(Receipt { id, job, queue }) => write!(f, "job `{job}` {id} for queue '{queue}' ")?,
            None => f.write_str("a job ")?,
        }
        match &self.kind {
            Kind::Invalid(reason) => write!(f, "cannot be sent: {reason}"),
            Kind::Forbidden(reason) => write!(f, "was refused by a middleware of the producer: {reason}"),
            Kind::NotHandedOn(NotHandedOn::InTime) => f.write_str(
                "was not sent: a middleware of the producer did not hand it on within its confirm timeout; it is not in the broker, so it is \
                 safe to try again",
            ),
            Kind::NotHandedOn(NotHandedOn::AtOnce) => {
                f.write_str("was not sent: a middleware of the producer has to wait, which `try_enqueue` cannot; use `enqueue`")
            }
            Kind::Closed => f.write_str("was not sent: the producer was closed; enqueue it with another"),
            Kind::LedgerFull => f.write_str(
                "was not sent: the ledger of unconfirmed jobs is full; wait for room with `enqueue`, or raise the limit",
            ),
            Kind::Ended(Fate::Refused(why)) => write!(f, "was refused: {why}"),
            Kind::Ended(Fate::NotSent) => {
                f.write_str("was not sent: no connection within its confirm timeout, or the producer was closed; it is not in the broker, so it is safe \
                 to try again")
            }
            Kind::Ended(Fate::Unknown) => f.write_str(
                "was sent but not confirmed in time: it may be stored or not; to try again, enqueue it with the same id",
            ),
        }
    }
}

impl std::error::Error for EnqueueError {}

/// An envelope that could not be made; for the `?` of middlewares.
impl From<EnvelopeError> for EnqueueError {
    fn from(error: EnvelopeError) -> Self {
        Self::invalid(None, error.to_string())
    }
}

/// A job was not taken by [`Producer::try_enqueue`](crate::Producer::try_enqueue); it is given back.
#[derive(Debug)]
pub struct TryEnqueueError<J> {
    /// The job.
    pub job: J,
    /// Why.
    pub error: EnqueueError,
}

impl<J> fmt::Display for TryEnqueueError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<J: fmt::Debug> std::error::Error for TryEnqueueError<J> {}
