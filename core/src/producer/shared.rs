//! The hand-over of a job to the ledger: what every enqueue goes through.

use std::sync::Arc;
use std::time::Duration;

use super::error::EnqueueError;
use super::pending::Pending;
use super::{Targets, Ways};
use crate::envelope::{Envelope, Limits};
use crate::id::JobId;
use crate::job::Job;
use crate::lane::{Lane, Publish};
use crate::ledger::Target;
use crate::rabbit::Rabbit;

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
    pub(super) job: String,
    pub(super) queue: String,
}

impl Receipt {
    pub(super) fn of(envelope: &Envelope) -> Self {
        Self {
            id: envelope.id().clone(),
            job: envelope.job_name().to_owned(),
            queue: envelope.queue().name().to_owned(),
        }
    }
}

impl Shared {
    pub(super) fn routed<J: Job>(&self, envelope: Envelope) -> Envelope {
        let envelope = envelope.expiring_as::<J>(self.rabbit.clock().wall());
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
        let (publish, receipt) = self.prepare(envelope, timeout)?;
        if self.lane.is_stopped() {
            return Err(EnqueueError::closed(receipt));
        }
        let publishing = self.lane.publish(publish).await;
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
        let (publish, receipt) = self.prepare(envelope, timeout)?;
        match self.lane.try_publish(publish) {
            Ok(publishing) => Ok(Pending::new(publishing, receipt, Arc::clone(self))),
            Err(_) if self.lane.is_stopped() => Err(EnqueueError::closed(receipt)),
            Err(_) => Err(EnqueueError::ledger_full(receipt)),
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
