//! What a worker's schedules are doing, for those who watch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use leveret::watch;

/// What a schedule is doing on this replica.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleState {
    /// Not subscribed yet, with no error so far.
    Starting,
    /// Another replica leads, or it is not known yet who does. This one is ready to take over.
    Standby,
    /// This replica leads.
    Leading {
        /// Everything up to here is done.
        last: SystemTime,
        /// The first tick after that. Where it has passed, it is being enqueued.
        next: Option<SystemTime>,
    },
    /// This replica leads, but the tick that is due is not taken; it is tried again.
    Held {
        /// Why not.
        error: String,
    },
    /// Not taking part; it is being tried.
    Down {
        /// What went wrong last.
        error: String,
    },
    /// Ended.
    Stopped,
}

impl fmt::Display for ScheduleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Standby => f.write_str("standby"),
            Self::Leading { .. } => f.write_str("leading"),
            Self::Held { error } => write!(f, "held up ({error})"),
            Self::Down { error } => write!(f, "down ({error})"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// The states of all schedules by name.
pub(crate) type Board = watch::Sender<BTreeMap<String, ScheduleState>>;

/// Writes one schedule's state on the board.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    schedule: String,
    board: Arc<Board>,
}

impl Reporter {
    pub(crate) fn new(schedule: &str, board: Arc<Board>) -> Self {
        let reporter = Self {
            schedule: schedule.to_owned(),
            board,
        };
        reporter.set(ScheduleState::Starting);
        reporter
    }

    /// Notes the state, and tells the log when it is of another kind than before.
    pub(crate) fn set(&self, state: ScheduleState) {
        self.board.send_if_modified(|states| {
            let before = states.get(&self.schedule);
            if before == Some(&state) {
                return false;
            }
            let same_kind =
                before.is_some_and(|before| std::mem::discriminant(before) == std::mem::discriminant(&state));
            match &state {
                ScheduleState::Leading { .. } if same_kind => {}
                ScheduleState::Down { error } => {
                    tracing::warn!(schedule = self.schedule, error, "not taking part; trying again");
                }
                ScheduleState::Held { error } => {
                    tracing::warn!(schedule = self.schedule, error, "a tick is not taken; trying again");
                }
                other => tracing::info!(schedule = self.schedule, state = %other, "schedule"),
            }
            states.insert(self.schedule.clone(), state);
            true
        });
    }
}
