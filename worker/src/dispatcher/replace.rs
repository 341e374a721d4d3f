//! Publishing what takes a job's place, and what follows when that is confirmed, or cannot be.

use std::sync::Arc;
use std::time::Duration;

use leveret::envelope::{Republish, headers};

use super::hand::Stage;
use super::{Dispatcher, Phase, Role};
use crate::settling::{Deed, Purpose, Sent, Successor};
use crate::verdict::{Ended, Fault, Verdict};

/// A job is run once more on its delivery only if it gets its whole time limit, or at least this.
const WORTH_A_RUN: Duration = Duration::from_secs(60);

impl Dispatcher {
    /// Begins to publish what takes the job's place. A job whose lease was lost is left alone: it is delivered again.
    pub(super) fn replace(&mut self, number: u64, purpose: Purpose, why: &Republish) {
        let Some(held) = self.hand.get_mut(number).filter(|held| held.lease.is_some()) else {
            self.hand.remove(number);
            return;
        };
        match self.wires.successors.make(&held.attempt, purpose, why) {
            Ok(successor) => self.begin(number, Arc::new(successor)),
            Err(too_large) if purpose.would_be_early() => self.bury(number, &too_large),
            Err(too_large) => self.gave_up(number, purpose, &too_large),
        }
    }

    /// What can never wait and must not run at once is a dead letter.
    fn bury(&mut self, number: u64, why: &str) {
        let fault = Fault {
            reason: "failed",
            error: format!("the job was to come again later, and cannot wait: {why}"),
        };
        match self.wires.successors.deed(Verdict::DeadLetter { fault }) {
            Deed::Replace { purpose, why } => self.replace(number, purpose, &why),
            _ => self.leave_to_the_broker(number),
        }
    }

    fn begin(&mut self, number: u64, successor: Arc<Successor>) {
        let Some(held) = self.hand.get_mut(number) else { return };
        let (withdraw, withdrawn) = tokio::sync::oneshot::channel::<()>();
        let patience = held
            .ends(self.setup.plan.longest_hold)
            .saturating_sub(self.wires.clock.now());
        held.stage = Stage::Settling {
            successor: successor.clone(),
            withdraw: Some(withdraw),
        };
        // A sender that was dropped asks for the same as one that was used.
        let stop = async move { drop(tokio::time::timeout(patience, withdrawn).await) };
        let sending = self.wires.successors.send(successor, stop);
        self.tasks.sendings.spawn(async move { (number, sending.await) });
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
                // A suspect that goes on resting was counted when it became one.
                if self.setup.role == Role::Work || !matches!(purpose, Purpose::PutAside { .. }) {
                    self.report.stored(purpose);
                }
                self.done(number);
                if matches!(purpose, Purpose::Arm { .. }) {
                    self.linger_for_the_armed();
                }
            }
            Sent::GaveUp(why) => self.gave_up(number, purpose, &why),
            Sent::Withdrawn { in_doubt: false } => self.withdrawn(number, successor),
            Sent::Withdrawn { in_doubt: true } => self.withdrawn(number, Arc::new(successor.after_a_doubtful_try())),
        }
    }

    /// A successor cannot be stored: what can be done with the delivery alone is done.
    fn gave_up(&mut self, number: u64, purpose: Purpose, why: &str) {
        let Some(held) = self.hand.get_mut(number) else { return };
        tracing::error!(
            queue = self.setup.plan.queue.name(),
            job = %held.attempt.incoming.id,
            ?purpose,
            why,
            "the successor of a job cannot be stored; there is another way"
        );
        match purpose {
            Purpose::Return => self.requeue(number),
            // Where it cannot be put aside it is run as it came: the broker's own limit is behind it.
            Purpose::NoteCrash | Purpose::PutAside { .. } if self.setup.role == Role::Work => {
                self.run_again_here(number, 0);
            }
            Purpose::NoteCrash | Purpose::PutAside { .. } => self.requeue(number),
            Purpose::Arm { .. } => self.leave_to_the_broker(number),
            Purpose::Retry { .. } | Purpose::Snooze { .. } if purpose.would_be_early() => self.bury(number, why),
            Purpose::Retry { .. } => self.run_again_here(number, 1),
            Purpose::Snooze { .. } => self.run_again_here(number, 0),
            Purpose::Unknown { .. } => {
                let name = held.attempt.incoming.name.clone();
                self.act_on(number, Ended::UnknownType(name));
            }
            Purpose::DeadLetter => self.leave_to_the_broker(number),
        }
    }

    /// Taken back because the lease was lost; but a redelivery may have brought another since. Or because the broker's patience ends: then it
    /// gets the job back before it closes the channel over it.
    fn withdrawn(&mut self, number: u64, successor: Arc<Successor>) {
        let Some(held) = self.hand.get_mut(number) else { return };
        let patience_ends = held.ends(self.setup.plan.longest_hold);
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
        let left = held
            .ends(self.setup.plan.longest_hold)
            .saturating_sub(self.wires.clock.now());
        match entry {
            Some(entry) if left >= held.attempt.timeout.min(WORTH_A_RUN) && !leaving => {
                let history = match &held.stage {
                    Stage::Settling { successor, .. } => successor.message.properties.headers.get(headers::HISTORY),
                    _ => None,
                };
                held.attempt = Arc::new(held.attempt.again(failed_attempts, left, history.cloned()));
                self.hand.wait(number, entry);
            }
            _ => self.requeue(number),
        }
    }
}
