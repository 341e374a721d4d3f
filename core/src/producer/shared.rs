//! The hand-over of a job to the ledger: what every enqueue goes through.

use std::sync::Arc;
use std::time::Duration;

use super::error::EnqueueError;
use super::pending::Pending;
use super::{Targets, Ways};
use crate::envelope::{Envelope, Limits};
use crate::id::JobId;
use crate::job::Job;
use crate::lane::{Lane, Publish, Publishing};
use crate::ledger::Target;
use crate::rabbit::Rabbit;
use crate::text::Text;

const SECONDS_A_DAY: u64 = 86_400;

/// The longest time that a job may be enqueued ahead: a year, with room for a leap day.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(366 * SECONDS_A_DAY);

/// What every enqueue needs. A [`Pending`] keeps it to its end: with the last of these the connections go.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) rabbit: Rabbit,
    pub(super) lane: Lane,
    pub(super) targets: Arc<Targets>,
    pub(super) limits: Limits,
    pub(super) confirm_timeout: Duration,
    pub(super) ways: Arc<Ways>,
}

/// What is remembered of a job once its bytes are on their way.
#[derive(Debug, Clone)]
pub(super) struct Receipt {
    pub(super) id: JobId,
    pub(super) job: Text,
    pub(super) queue: Text,
}

impl Receipt {
    pub(super) fn of(envelope: &Envelope) -> Self {
        Self {
            id: envelope.id().clone(),
            job: envelope.shared_name(),
            queue: envelope.queue().shared_name(),
        }
    }
}

/// A job that there was no room for.
#[derive(Debug)]
pub(super) struct Full {
    publish: Box<Publish>,
    receipt: Receipt,
}

impl Shared {
    pub(super) fn routed<J: Job>(&self, envelope: Envelope) -> Envelope {
        let envelope = envelope.expiring_as::<J>(|| self.rabbit.clock().wall());
        match self.ways.route(J::NAME) {
            Some(queue) => envelope.with_queue(queue.clone()),
            None => envelope,
        }
    }

    /// Hands a job to the ledger, once there is room for it.
    pub(super) async fn hand_over(
        self: &Arc<Self>,
        envelope: &Envelope,
        timeout: Duration,
    ) -> Result<Pending, EnqueueError> {
        match self.hand_over_now(envelope, timeout) {
            Ok(handed) => handed,
            Err(full) => self.hand_over_later(full).await,
        }
    }

    /// Hands a job to the ledger if there is room for it now; what has to wait comes back, for [`Shared::hand_over_later`].
    pub(super) fn hand_over_now(
        self: &Arc<Self>,
        envelope: &Envelope,
        timeout: Duration,
    ) -> Result<Result<Pending, EnqueueError>, Full> {
        let (publish, receipt) = match self.prepare(envelope, timeout) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error)),
        };
        if self.lane.is_stopped() {
            return Ok(Err(EnqueueError::closed(receipt)));
        }
        match self.lane.try_publish_as(receipt.id.clone(), publish) {
            Ok(publishing) => Ok(self.handed(publishing, receipt)),
            Err(publish) => Err(Full { publish, receipt }),
        }
    }

    /// Hands over what there was no room for, once there is.
    pub(super) async fn hand_over_later(self: &Arc<Self>, full: Full) -> Result<Pending, EnqueueError> {
        let Full { publish, receipt } = full;
        self.handed(self.lane.publish(*publish).await, receipt)
    }

    fn handed(self: &Arc<Self>, publishing: Publishing, receipt: Receipt) -> Result<Pending, EnqueueError> {
        match publishing.not_taken() {
            Some(fate) => Err(EnqueueError::new(receipt, fate)),
            None => Ok(Pending::new(publishing, receipt, Arc::clone(self))),
        }
    }

    /// Hands a job to the ledger, if there is room for it.
    pub(super) fn try_hand_over(
        self: &Arc<Self>,
        envelope: &Envelope,
        timeout: Duration,
    ) -> Result<Pending, EnqueueError> {
        match self.hand_over_now(envelope, timeout) {
            Ok(handed) => handed,
            Err(full) if self.lane.is_stopped() => Err(EnqueueError::closed(full.receipt)),
            Err(full) => Err(EnqueueError::ledger_full(full.receipt)),
        }
    }

    fn prepare(&self, envelope: &Envelope, timeout: Duration) -> Result<(Publish, Receipt), EnqueueError> {
        let receipt = Receipt::of(envelope);
        let target = self.target(envelope);
        let prepared = target.and_then(|target| {
            let message = envelope.to_message(&self.limits).map_err(|error| error.to_string())?;
            Ok(Publish {
                target,
                message,
                timeout,
            })
        });
        match prepared {
            Ok(publish) => Ok((publish, receipt)),
            Err(reason) => Err(EnqueueError::invalid(Some(receipt), reason)),
        }
    }

    fn target(&self, envelope: &Envelope) -> Result<Target, String> {
        let wait = envelope.due().map(|due| due.duration_since(self.rabbit.clock().wall()));
        match wait {
            Some(Ok(wait)) if wait > MAX_DELAY => Err(format!(
                "it is to run in {} days, and a year is the most; enqueue it later, or a job that does",
                wait.as_secs() / SECONDS_A_DAY
            )),
            Some(Ok(wait)) if !wait.is_zero() => Ok(self.targets.delayed(envelope.queue())),
            // Without a time, or at one that is over: at once.
            _ => Ok(self.targets.of(envelope.queue())),
        }
    }
}
