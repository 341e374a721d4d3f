//! Acting on verdicts. Invariant: nothing is acked before it is done or its successor is confirmed.

use leveret::broker::Settlement;
use leveret::envelope::Republish;
use leveret::{Backoff, DeadLetter};

use super::Dispatcher;
use super::channels::{ChannelLease, Settled};
use super::hand::{Held, Stage};
use super::successor::Purpose;
use crate::verdict::{Ended, Fault, Tries, Verdict, verdict};

impl Dispatcher {
    /// An attempt has ended: its slot is free, and its job is dealt with.
    pub(super) fn attempt_ended(&mut self, number: u64, ended: Ended) {
        let Some(held) = self.hand.get_mut(number) else { return };
        let backoff = match &held.stage {
            Stage::Running(entry) => Some(entry.retry.backoff()),
            _ => None,
        };
        held.stage = Stage::Ended;
        self.decide(number, ended, backoff);
    }

    /// Decides what becomes of a job in hand, and begins to do it.
    pub(super) fn decide(&mut self, number: u64, ended: Ended, backoff: Option<Backoff>) {
        let Some(held) = self.hand.get_mut(number) else { return };
        let tries = Tries {
            attempt: held.attempt.incoming.attempt,
            max_attempts: held.attempt.limits.max_attempts,
            backoff: backoff.unwrap_or(Backoff::none()),
        };
        let verdict = verdict(ended, tries, fastrand::f64());
        log(held, &verdict);
        match verdict {
            Verdict::Ack => {
                self.report.completed += 1;
                self.done(number);
            }
            Verdict::Cancel { .. } => {
                self.report.cancelled += 1;
                self.done(number);
            }
            Verdict::GiveBack => {
                self.report.interrupted += 1;
                self.give_back(number);
            }
            Verdict::Snooze { .. } => self.replace(number, Purpose::Snooze, &Republish::Again),
            Verdict::Retry { fault, .. } => {
                self.report.failed += 1;
                let failure = self.failure(fault);
                self.replace(number, Purpose::Retry, &Republish::Retry { failure });
            }
            Verdict::DeadLetter { fault } => {
                self.report.failed += 1;
                self.bury(number, fault);
            }
        }
    }

    /// The job needs no more: ack, or remember that it would have been acked.
    pub(super) fn done(&mut self, number: u64) {
        let Some((held, key)) = self.hand.remove(number) else {
            return;
        };
        let settled = self.settle(held.lease, Settlement::Ack);
        match (key, settled) {
            (Some(key), Settled::Open) => self.memory.acked(key),
            (Some(key), Settled::Retired | Settled::Nowhere) => self.memory.finished(key),
            (None, _) => {}
        }
    }

    /// Back to the queue, as if it had never been delivered. Where the broker has counted half of what it allows, a confirmed copy goes
    /// instead, because that starts to count anew: jobs that were never touched must not become dead letters.
    pub(super) fn give_back(&mut self, number: u64) {
        let Some(held) = self.hand.get_mut(number) else { return };
        held.stage = Stage::Ended;
        if held.lease.is_some() && held.delivery_count > self.setup.plan.queue.limit_of_deliveries() / 2 {
            return self.replace(number, Purpose::Return, &Republish::Again);
        }
        if let Some((held, _)) = self.hand.remove(number) {
            self.settle(held.lease, Settlement::Requeue);
        }
    }

    pub(super) fn return_untouched(&mut self, number: u64) {
        self.report.returned += 1;
        self.give_back(number);
    }

    /// To the dead letters: by a copy with the record of the failure, or by the broker alone.
    fn bury(&mut self, number: u64, fault: Fault) {
        match self.setup.plan.queue.dead_letter_mode() {
            DeadLetter::Nack => self.leave_to_the_broker(number),
            _ => {
                let failure = self.failure(fault);
                self.replace(number, Purpose::DeadLetter, &Republish::DeadLetter { failure });
            }
        }
    }

    /// The broker dead-letters it. Nothing is remembered: whether it arrived there nobody tells us.
    pub(super) fn leave_to_the_broker(&mut self, number: u64) {
        if let Some((held, _)) = self.hand.remove(number)
            && self.settle(held.lease, Settlement::DeadLetter) != Settled::Nowhere
        {
            self.report.dead_lettered += 1;
        }
    }

    pub(super) fn requeue(&mut self, number: u64) {
        if let Some((held, _)) = self.hand.remove(number) {
            self.settle(held.lease, Settlement::Requeue);
        }
    }

    fn settle(&mut self, lease: Option<ChannelLease>, settlement: Settlement) -> Settled {
        match lease {
            Some(lease) => self.channels.settle(lease, settlement),
            None => Settled::Nowhere,
        }
    }
}

fn log(held: &Held, verdict: &Verdict) {
    let incoming = &held.attempt.incoming;
    let (job, id, attempt) = (incoming.name.as_deref().unwrap_or("?"), &incoming.id, incoming.attempt);
    match verdict {
        Verdict::Ack => tracing::debug!(job, %id, attempt, "done"),
        Verdict::Snooze { after } => tracing::debug!(job, %id, attempt, ?after, "snoozed"),
        Verdict::GiveBack => tracing::info!(job, %id, attempt, "interrupted; it is given back"),
        Verdict::Cancel { reason } => tracing::info!(job, %id, attempt, reason, "cancelled"),
        Verdict::Retry { after, fault } => {
            tracing::warn!(job, %id, attempt, reason = fault.reason, error = fault.error, ?after, "failed; it is tried again");
        }
        Verdict::DeadLetter { fault } => {
            tracing::error!(job, %id, attempt, reason = fault.reason, error = fault.error, "failed; it becomes a dead letter");
        }
    }
}
