//! What a worker is doing, queue by queue, for those who watch it.

use std::collections::BTreeMap;
use std::sync::Arc;

use leveret::watch;

/// What a worker is doing on one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueState {
    /// Not consuming yet, with no error so far.
    Starting,
    /// Consuming.
    Consuming,
    /// Not fetching jobs on purpose: too many finished ones wait for the broker to take their successors.
    Paused {
        /// Why the broker does not take them.
        reason: String,
    },
    /// Not consuming; it is being tried.
    Down {
        /// What went wrong last.
        error: String,
    },
    /// Shutting down: no new jobs, those that run may finish.
    Draining,
    /// Ended.
    Stopped,
}

/// The states of all queues by name.
pub(crate) type Board = watch::Sender<BTreeMap<String, QueueState>>;

/// Writes one queue's state on the board.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    queue: String,
    board: Arc<Board>,
}

impl Reporter {
    pub(crate) fn new(queue: &str, board: Arc<Board>) -> Self {
        let reporter = Self {
            queue: queue.to_owned(),
            board,
        };
        reporter.set(QueueState::Starting);
        reporter
    }

    /// Notes the state, and tells the log when it is another than before.
    pub(crate) fn set(&self, state: QueueState) {
        self.board.send_if_modified(|states| {
            if states.get(&self.queue) == Some(&state) {
                return false;
            }
            match &state {
                QueueState::Down { error } => tracing::warn!(queue = self.queue, error, "not consuming; trying again"),
                QueueState::Paused { reason } => tracing::warn!(queue = self.queue, reason, "consuming is paused"),
                other => tracing::info!(queue = self.queue, state = ?other, "worker"),
            }
            states.insert(self.queue.clone(), state);
            true
        });
    }
}
