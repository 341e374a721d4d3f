//! What a worker did: [`ExitReport`].

use std::collections::BTreeMap;
use std::fmt;

use crate::drain::Unseen;
use crate::settling::Purpose;
use crate::verdict::Verdict;

/// What a worker did from its start to its end, by queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "it says whether the worker ended in order"]
pub struct ExitReport {
    queues: BTreeMap<String, QueueReport>,
    drain: Option<Unseen>,
}

/// What a worker did on one queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueReport {
    /// Attempts that succeeded.
    pub completed: u64,
    /// Attempts that failed, whatever followed.
    pub failed: u64,
    /// Retries that were stored.
    pub retried: u64,
    /// Dead letters that were made.
    pub dead_lettered: u64,
    /// Attempts that asked to come again later.
    pub snoozed: u64,
    /// Jobs that were no longer wanted.
    pub cancelled: u64,
    /// Redeliveries of jobs that had been finished here: acked without a second run.
    pub recognized: u64,
    /// Jobs that were fetched and given back untouched.
    pub returned: u64,
    /// Attempts that gave up or were aborted because the worker shut down or the broker took the job back.
    pub interrupted: u64,
    /// Jobs that the worker still had when it ended: the broker delivers them again.
    pub left_unacked: u64,
    /// Jobs whose deliveries had ended twice without an answer, as when they crash their worker: put aside, to be run beside nothing else.
    pub suspected: u64,
    /// Jobs that no handler is registered for and that were put off, for another worker ([`Unknown`](crate::Unknown)).
    pub put_off: u64,
    /// Consumers that were replaced because nothing came from them, though jobs were ready and there was room.
    pub silent_consumers: u64,
}

impl QueueReport {
    /// Counts how an attempt ended.
    pub(crate) fn note(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Ack => self.completed += 1,
            Verdict::Cancel { .. } => self.cancelled += 1,
            Verdict::GiveBack => self.interrupted += 1,
            Verdict::Retry { .. } | Verdict::DeadLetter { .. } => self.failed += 1,
            // Counted once it is stored.
            Verdict::Snooze { .. } => {}
        }
    }

    /// Takes in what was done on another queue for the same jobs.
    fn absorb(&mut self, other: &Self) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.retried += other.retried;
        self.dead_lettered += other.dead_lettered;
        self.snoozed += other.snoozed;
        self.cancelled += other.cancelled;
        self.recognized += other.recognized;
        self.returned += other.returned;
        self.interrupted += other.interrupted;
        self.left_unacked += other.left_unacked;
        self.suspected += other.suspected;
        self.put_off += other.put_off;
        self.silent_consumers += other.silent_consumers;
    }

    /// Counts a successor that is stored.
    pub(crate) fn stored(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Retry { .. } => self.retried += 1,
            Purpose::Snooze { .. } => self.snoozed += 1,
            Purpose::DeadLetter => self.dead_lettered += 1,
            Purpose::Unknown { .. } => self.put_off += 1,
            Purpose::PutAside { starts: 0 } => self.suspected += 1,
            Purpose::Return | Purpose::NoteCrash | Purpose::PutAside { .. } | Purpose::Arm { .. } => {}
        }
    }
}

impl ExitReport {
    pub(crate) fn add(&mut self, queue: String, report: QueueReport) {
        self.queues.entry(queue).or_default().absorb(&report);
    }

    pub(crate) fn of_a_drain(self, unseen: Unseen) -> Self {
        Self {
            drain: Some(unseen),
            ..self
        }
    }

    /// Whether the worker was drained: it ended because nothing was left to do, as far as it could see.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drain.as_ref().is_some_and(Unseen::is_drained)
    }

    /// What a drain left behind or could not see; `None` for a worker that was not drained.
    #[must_use]
    pub fn unseen(&self) -> Option<&Unseen> {
        self.drain.as_ref()
    }

    /// The report of one queue.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<QueueReport> {
        self.queues.get(name).copied()
    }

    /// All reports by queue name.
    pub fn queues(&self) -> impl Iterator<Item = (&str, QueueReport)> {
        self.queues.iter().map(|(name, report)| (name.as_str(), *report))
    }

    /// Whether every job that the worker was given was settled before it ended. `false`: some handler outlived the grace
    /// of the shutdown, and its job runs again elsewhere.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.queues.values().all(|report| report.left_unacked == 0)
    }
}

impl fmt::Display for ExitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (queue, report)) in self.queues().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}{queue}: {} completed, {} failed ({} retried, {} dead-lettered), {} left unacked",
                report.completed, report.failed, report.retried, report.dead_lettered, report.left_unacked
            )?;
            if report.silent_consumers > 0 {
                write!(f, ", {} silent consumers replaced", report.silent_consumers)?;
            }
        }
        self.drain.iter().try_for_each(|unseen| write!(f, "; {unseen}"))
    }
}
