//! A job in the ledger: [`Pending`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::error::EnqueueError;
use super::{Receipt, Shared};
use crate::id::JobId;
use crate::lane::Publishing;

/// A job that the ledger has taken responsibility for. Await it for the confirm; dropping it changes nothing.
#[derive(Debug)]
#[must_use = "the job is sent anyway, but only awaiting tells whether it was stored"]
pub struct Pending {
    publishing: Publishing,
    receipt: Receipt,
    observers: Observers,
    _kept: Arc<Shared>,
}

impl Pending {
    pub(super) fn new(publishing: Publishing, receipt: Receipt, kept: Arc<Shared>) -> Self {
        Self {
            publishing,
            receipt,
            observers: Observers::default(),
            _kept: kept,
        }
    }

    pub(super) fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.receipt.id
    }

    /// Has `observer` told, exactly once, what became of the job: the result, at the moment in which whoever awaits this sees it. Or
    /// `None` where nobody saw it, because this was dropped before: the job goes on all the same, and how it ends is not known here.
    pub fn inspect(
        mut self,
        observer: impl FnOnce(Option<&Result<JobId, EnqueueError>>) + Send + Sync + 'static,
    ) -> Self {
        self.observers.0.push(Box::new(observer));
        self
    }
}

impl Future for Pending {
    type Output = Result<JobId, EnqueueError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let pending = &mut *self;
        Pin::new(&mut pending.publishing).poll(cx).map(|result| {
            let result = match result {
                Ok(()) => Ok(pending.receipt.id.clone()),
                Err(fate) => Err(EnqueueError::new(pending.receipt.clone(), fate)),
            };
            pending.observers.tell(Some(&result));
            result
        })
    }
}

type Observer = Box<dyn FnOnce(Option<&Result<JobId, EnqueueError>>) + Send + Sync>;

/// Who is told how it ended, or that nobody waited.
#[derive(Default)]
struct Observers(Vec<Observer>);

impl Observers {
    fn tell(&mut self, result: Option<&Result<JobId, EnqueueError>>) {
        for observer in self.0.drain(..) {
            observer(result);
        }
    }
}

impl Drop for Observers {
    fn drop(&mut self) {
        self.tell(None);
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
