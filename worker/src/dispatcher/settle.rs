//! Acting on verdicts. Invariant: nothing is acked before it is done or its successor is confirmed.

use std::sync::Arc;

use leveret::broker::Settlement;
use leveret::envelope::{Failure, Republish, republish};
use leveret::runtime::Target;
use leveret::{Backoff, DeadLetter};

use super::channels::{ChannelLease, Settled};
use super::hand::{Held, Stage};
use super::successor::{Purpose, Sent, Successor, send};
use super::{Dispatcher, Phase};
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
    fn done(&mut self, number: u64) {
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
    fn leave_to_the_broker(&mut self, number: u64) {
        if let Some((held, _)) = self.hand.remove(number)
            && self.settle(held.lease, Settlement::DeadLetter) != Settled::Nowhere
        {
            self.report.dead_lettered += 1;
        }
    }

    /// Begins to publish what takes the job's place. A job whose lease was lost is left alone: it is delivered again.
    fn replace(&mut self, number: u64, purpose: Purpose, why: &Republish) {
        let Some(held) = self.hand.get_mut(number).filter(|held| held.lease.is_some()) else {
            self.hand.remove(number);
            return;
        };
        let incoming = &held.attempt.incoming;
        let message = republish(&held.attempt.message, &incoming.id, incoming.attempt, why);
        let successor = Arc::new(Successor {
            target: self.target(purpose),
            message,
            purpose,
            // A returned job can be requeued, the next attempt can be made here, and a quorum queue dead-letters without loss.
            // A classic one does not.
            replaceable: purpose != Purpose::DeadLetter || !self.setup.plan.queue.is_classic(),
            timeout: self.wires.options.deadlines().confirm,
            in_doubt: false,
        });
        self.begin(number, successor);
    }

    fn target(&self, purpose: Purpose) -> Target {
        match purpose {
            Purpose::DeadLetter => self.wires.dead.clone(),
            Purpose::Retry | Purpose::Snooze | Purpose::Return => self.wires.work.clone(),
        }
    }

    fn begin(&mut self, number: u64, successor: Arc<Successor>) {
        let Some(held) = self.hand.get_mut(number) else { return };
        let (withdraw, withdrawn) = tokio::sync::oneshot::channel::<()>();
        let patience = (held.delivered + self.setup.plan.longest_hold).saturating_sub(self.wires.clock.now());
        held.stage = Stage::Settling {
            successor: successor.clone(),
            withdraw: Some(withdraw),
        };
        let lane = self.wires.lane.clone();
        self.tasks.sendings.spawn(async move {
            // A sender that was dropped asks for the same as one that was used.
            let stop = async { drop(tokio::time::timeout(patience, withdrawn).await) };
            (number, send(lane, successor, stop).await)
        });
    }

    /// The publishing of a successor has ended.
    pub(super) fn successor_ended(&mut self, number: u64, sent: Sent) {
        let Some(held) = self.hand.get_mut(number) else { return };
        let Stage::Settling { successor, .. } = &held.stage else {
            return;
        };
        let (successor, purpose) = (successor.clone(), successor.purpose);
        match sent {
            Sent::Confirmed => {
                self.count(purpose);
                self.done(number);
            }
            Sent::GaveUp(why) => {
                tracing::error!(
                    queue = self.setup.plan.queue.name(),
                    job = %held.attempt.incoming.id,
                    ?purpose,
                    why,
                    "the successor of a job cannot be stored; there is another way"
                );
                match purpose {
                    Purpose::Return => self.requeue(number),
                    Purpose::Retry => self.run_again_here(number, 1),
                    Purpose::Snooze => self.run_again_here(number, 0),
                    Purpose::DeadLetter => self.leave_to_the_broker(number),
                }
            }
            Sent::Withdrawn { in_doubt: false } => self.withdrawn(number, successor),
            Sent::Withdrawn { in_doubt: true } => self.withdrawn(number, Arc::new(successor.after_a_doubtful_try())),
        }
    }

    /// Taken back because the lease was lost; but a redelivery may have brought another since. Or because the broker's patience ends: then it
    /// gets the job back before it closes the channel over it.
    fn withdrawn(&mut self, number: u64, successor: Arc<Successor>) {
        let Some(held) = self.hand.get_mut(number) else { return };
        let patience_ends = held.delivered + self.setup.plan.longest_hold;
        if held.lease.is_some() && self.wires.clock.now() < patience_ends {
            self.begin(number, successor);
        } else {
            self.requeue(number);
        }
    }

    /// The next attempt of a job whose queue takes no copy of it: on the delivery in hand. Were the job held until there is room,
    /// a full queue whose consumers hold nothing but such jobs would stay full for ever.
    fn run_again_here(&mut self, number: u64, failed_attempts: u32) {
        let Some(held) = self.hand.get_mut(number).filter(|held| held.lease.is_some()) else {
            self.hand.remove(number);
            return;
        };
        let name = held.attempt.incoming.name.as_deref();
        let entry = name.and_then(|name| self.setup.registry.find(name)).cloned();
        let leaving = *self.setup.phase.borrow() > Phase::Running || self.channels.is_halted();
        // The broker's patience with the delivery is not renewed by another run on it.
        let ends = self.wires.clock.now() + held.attempt.limits.timeout;
        let in_time = ends <= held.delivered + self.setup.plan.longest_hold;
        match entry {
            Some(entry) if in_time && !leaving => {
                held.attempt = Arc::new(held.attempt.again(failed_attempts));
                self.hand.wait(number, entry);
            }
            _ => self.requeue(number),
        }
    }

    fn requeue(&mut self, number: u64) {
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

    fn count(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Retry => self.report.retried += 1,
            Purpose::Snooze => self.report.snoozed += 1,
            Purpose::DeadLetter => self.report.dead_lettered += 1,
            Purpose::Return => {}
        }
    }

    fn failure(&self, fault: Fault) -> Failure {
        Failure {
            reason: fault.reason,
            error: fault.error,
            queue: self.setup.plan.queue.name().to_owned(),
            worker: self.setup.surroundings.worker.clone(),
            at: self.wires.clock.wall(),
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
