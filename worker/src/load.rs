//! How many jobs a worker has in hand, for those who wait until it has none: [`Load`].

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The jobs that all dispatchers of a worker have in hand together. Written by the dispatchers, twice for each job; so it is a
/// number, and only the step to zero wakes anyone.
#[derive(Debug, Default)]
pub(crate) struct Load {
    jobs: AtomicUsize,
    gone: Notify,
}

impl Load {
    pub(crate) fn add(&self, jobs: usize) {
        self.jobs.fetch_add(jobs, Ordering::SeqCst);
    }

    pub(crate) fn take(&self, jobs: usize) {
        if jobs > 0 && self.jobs.fetch_sub(jobs, Ordering::SeqCst) == jobs {
            self.gone.notify_waiters();
        }
    }

    /// Whether there are none.
    pub(crate) fn is_none(&self) -> bool {
        self.jobs.load(Ordering::SeqCst) == 0
    }

    /// Waits until there are none.
    pub(crate) async fn gone(&self) {
        loop {
            let mut gone = std::pin::pin!(self.gone.notified());
            // Registered before the look: an end in between is not missed.
            gone.as_mut().enable();
            if self.is_none() {
                return;
            }
            gone.await;
        }
    }
}
