//! A job in the ledger: [`Pending`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::error::EnqueueError;
use super::{Producer, Receipt};
use crate::id::JobId;
use crate::lane::Publishing;

/// A job that the ledger has taken responsibility for. Await it for the confirm; dropping it changes nothing.
#[derive(Debug)]
#[must_use = "the job is sent anyway, but only awaiting tells whether it was stored"]
pub struct Pending {
    publishing: Publishing,
    receipt: Receipt,
    /// Kept to the end: with the last producer the connections go.
    _producer: Producer,
}

impl Pending {
    pub(super) fn new(publishing: Publishing, receipt: Receipt, producer: Producer) -> Self {
        Self {
            publishing,
            receipt,
            _producer: producer,
        }
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.receipt.id
    }
}

impl Future for Pending {
    type Output = Result<JobId, EnqueueError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.publishing).poll(cx).map(|result| match result {
            Ok(()) => Ok(self.receipt.id.clone()),
            Err(fate) => Err(EnqueueError::new(self.receipt.clone(), fate)),
        })
    }
}
