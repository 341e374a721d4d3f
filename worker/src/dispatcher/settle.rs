//! Acting on verdicts. Invariant: nothing is acked before it is done or its successor is confirmed.

use leveret::broker::Settlement;
use leveret::envelope::Republish;

use super::Dispatcher;
use super::channels::{ChannelLease, Settled};
use super::hand::Stage;
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
        let Some(held) = self.hand.get_mut(number) else { return };
        let tries = held.attempt.tries(self.wires.clock.wall());
        let verdict = verdict(ended, tries, fastrand::f64());
        log(&held.attempt, &verdict);
        self.report.note(&verdict);
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
        if held.lease.is_some() && self.wires.successors.returns_by_copy(held.delivery_count) {
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
