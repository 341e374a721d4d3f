//! What a worker is doing, queue by queue, for those who watch it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use leveret::runtime::LinkState;
use leveret::watch;

use crate::running::Controls;
use crate::schedule::ScheduleState;

/// What a worker is doing on one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueState {
    /// Not consuming yet, with no error so far.
    Starting,
    /// Consuming.
    Consuming,
    /// Not fetching jobs on purpose: too many finished ones wait for the broker to take their successors, a job that may have crashed its
    /// worker is run alone, or most attempts fail ([`KillSwitch`](crate::KillSwitch)).
    Paused {
        /// Why, in words.
        reason: String,
    },
    /// Fetching single jobs, because most had failed: the [`KillSwitch`](crate::KillSwitch).
    Probing {
        /// How many have ended well in succession.
        good: u32,
        /// How many have to.
        wanted: u32,
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

impl fmt::Display for QueueState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Consuming => f.write_str("consuming"),
            Self::Paused { reason } => write!(f, "paused ({reason})"),
            Self::Probing { good, wanted } => write!(f, "probing ({good} of {wanted} single jobs ended well)"),
            Self::Down { error } => write!(f, "down ({error})"),
            Self::Draining => f.write_str("draining"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// What a worker is doing, as one value: for health endpoints. It prints as one line, without credentials or job data.
///
/// ```text
/// ready; mail: consuming; reports: consuming
/// not ready; mail: consuming; reports: down (the connection was lost: broken pipe)
/// ready; mail: consuming (1 silent consumer replaced so far); reports: consuming
/// stopped; mail: stopped; reports: stopped
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerHealth {
    queues: BTreeMap<String, QueueState>,
    schedules: BTreeMap<String, ScheduleState>,
    /// Why there is no connection, where the queues' dispatchers have not come round to say so.
    unconnected: Option<String>,
    /// Where it is not zero.
    silent_consumers: BTreeMap<String, u64>,
}

impl WorkerHealth {
    pub(crate) fn of(controls: &Controls) -> Self {
        let pulses = controls.pulses.iter();
        let silent = pulses.map(|(queue, pulse)| (queue.clone(), pulse.silent_consumers()));
        Self {
            queues: controls.board.borrow().clone(),
            schedules: controls.schedules.borrow().clone(),
            unconnected: unconnected(controls),
            silent_consumers: silent.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// Whether every queue is being consumed. `false` during an outage, and during a shutdown: no new work, and no restart either.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.all_consume() && self.unconnected.is_none()
    }

    fn all_consume(&self) -> bool {
        !self.queues.is_empty() && self.queues.values().all(|state| *state == QueueState::Consuming)
    }

    /// Whether the worker has not ended: it has when its last queue has stopped. An outage of the broker does not end it: it is no reason to restart the process.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.queues.is_empty() && self.queues.values().any(|state| *state != QueueState::Stopped)
    }

    /// The schedules by name. They do not count for readiness: another replica takes over what this one cannot do.
    pub fn schedules(&self) -> impl Iterator<Item = (&str, &ScheduleState)> {
        self.schedules.iter().map(|(name, state)| (name.as_str(), state))
    }

    /// How many consumers of a queue were replaced so far because nothing came from them, though jobs were ready and there was room.
    #[must_use]
    pub fn silent_consumers(&self, queue: &str) -> u64 {
        self.silent_consumers.get(queue).copied().unwrap_or(0)
    }

    /// The queues by name.
    pub fn queues(&self) -> impl Iterator<Item = (&str, &QueueState)> {
        self.queues.iter().map(|(name, state)| (name.as_str(), state))
    }
}

impl fmt::Display for WorkerHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_ready(), self.is_alive()) {
            (true, _) => "ready",
            (false, true) => "not ready",
            (false, false) => "stopped",
        })?;
        if let Some(reason) = self.unconnected.as_ref().filter(|_| self.all_consume()) {
            write!(f, "; no connection ({reason})")?;
        }
        for (queue, state) in &self.queues {
            write!(f, "; {queue}: {state}")?;
            match self.silent_consumers(queue) {
                0 => {}
                1 => f.write_str(" (1 silent consumer replaced so far)")?,
                count => write!(f, " ({count} silent consumers replaced so far)")?,
            }
        }
        self.schedules
            .iter()
            .try_for_each(|(schedule, state)| write!(f, "; schedule {schedule}: {state}"))
    }
}

/// Why there is no connection for consuming. That it is lost is known on the thread of the connections before the dispatchers are told, and
/// long before where something blocks them.
fn unconnected(controls: &Controls) -> Option<String> {
    let state = controls.rabbit()?.consuming().state();
    match &*state.borrow() {
        LinkState::Up { .. } | LinkState::Blocked { .. } => None,
        LinkState::Down {
            last_error: Some(error),
            ..
        } => Some(error.to_string()),
        _ => Some("none has been made".to_owned()),
    }
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
