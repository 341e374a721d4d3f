//! The only place where names in the broker are built.

/// The names that belong to one prefix (`leveret` unless configured).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The exchange that all dead letters go through; the routing key is the work queue's name.
    pub(super) fn dead_exchange(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The exchange behind [`Names::dead_exchange`] for what it cannot route.
    pub(super) fn lost_exchange(&self) -> String {
        format!("{}.lost", self.prefix)
    }

    /// The queue that collects what the hops nobody awaits could not route.
    pub(super) fn lost_queue(&self) -> String {
        format!("{}.lost", self.prefix)
    }

    /// The queue in which the baton of a schedule lies.
    pub(super) fn schedule_queue(&self, schedule: &str) -> String {
        format!("{}.schedule.{schedule}", self.prefix)
    }

    /// The dead letters of a work queue.
    pub(super) fn dead_queue(work: &str) -> String {
        format!("{work}.dead")
    }
}
