//! Acting on verdicts. Invariant: nothing is acked before it is done or its successor is confirmed.

use leveret::broker::Settlement;
use leveret::envelope::{Republish, headers};

use super::channels::{ChannelLease, Settled};
use super::hand::Stage;
use super::{Dispatcher, Role, suspicion};
use crate::config::Unknown;
use crate::settling::{Deed, Purpose, log};
use crate::verdict::{Ended, verdict};

impl Dispatcher {
    /// An attempt has ended: its slot is free, and its job is dealt with.
    pub(super) fn attempt_ended(&mut self, number: u64, ended: Ended) {
        let Some(held) = self.hand.get_mut(number) else { return };
        held.stage = Stage::Ended;
        self.decide(number, ended);
    }

    /// Decides what becomes of a job in hand, and begins to do it.
    pub(super) fn decide(&mut self, number: u64, ended: Ended) {
        match self.put_off(number, &ended) {
            Some(purpose) => self.replace(number, purpose, &Republish::Again),
            None => self.act_on(number, ended),
        }
    }

    /// Whether a job that no handler is registered for gets another chance, with another worker.
    fn put_off(&mut self, number: u64, ended: &Ended) -> Option<Purpose> {
        // What names no job is known by no worker.
        let (Ended::UnknownType(Some(name)), Unknown::Delay { wait, times }) = (ended, self.setup.plan.unknown) else {
            return None;
        };
        let attempt = &self.hand.get_mut(number)?.attempt;
        let before = suspicion::number(&attempt.message, headers::UNKNOWN);
        let (id, left) = (&attempt.incoming.id, times.checked_sub(before.saturating_add(1))?);
        tracing::warn!(job = %name, %id, ?wait, left, "no handler is registered for it here; it is put off");
        Some(Purpose::Unknown {
            after: wait,
            times: before.saturating_add(1),
        })
    }

    /// Does what an end comes to.
    pub(super) fn act_on(&mut self, number: u64, ended: Ended) {
        let Some(held) = self.hand.get_mut(number) else { return };
        let clock = self.wires.clock;
        let tries = held.attempt.tries(|| clock.wall());
        let verdict = verdict(ended, tries, fastrand::f64());
        log(&held.attempt, &verdict);
        self.report.note(&verdict);
        self.weigh(&verdict);
        match self.wires.successors.deed(verdict) {
            Deed::Done => self.done(number),
            Deed::GiveBack => self.give_back(number),
            Deed::Replace { purpose, why } => self.replace(number, purpose, &why),
            Deed::LeaveToTheBroker => self.leave_to_the_broker(number),
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

    /// Back to the queue, as if it had never been delivered; by a copy where the broker has counted too much.
    pub(super) fn give_back(&mut self, number: u64) {
        let Some(held) = self.hand.get_mut(number) else { return };
        held.stage = Stage::Ended;
        let standing = held.standing;
        if self.setup.role == Role::Suspects && held.lease.is_some() {
            return self.put_back(number, standing);
        }
        if held.lease.is_some() && self.wires.successors.returns_by_copy(held.delivery_count) {
            return self.replace(number, Purpose::Return, &Republish::Again);
        }
        self.requeue(number);
    }

    pub(super) fn return_untouched(&mut self, number: u64) {
        self.report.returned += 1;
        self.give_back(number);
    }

    /// Gives back all that was not started.
    pub(super) fn return_waiting(&mut self) {
        while let Some(number) = self.hand.next_waiting() {
            self.return_untouched(number);
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
        if let Some((held, key)) = self.hand.remove(number) {
            let settled = self.settle(held.lease, Settlement::Requeue);
            if let (Some(key), Settled::Open | Settled::Retired) = (key, settled) {
                self.excused.add(key);
            }
        }
    }

    fn settle(&mut self, lease: Option<ChannelLease>, settlement: Settlement) -> Settled {
        match lease {
            Some(lease) => self.channels.settle(lease, settlement),
            None => Settled::Nowhere,
        }
    }
}
