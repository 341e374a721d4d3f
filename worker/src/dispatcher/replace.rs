//! Publishing what takes a job's place, and what follows when that is confirmed, or cannot be.

use std::sync::Arc;
use std::time::Duration;

use leveret::TopologyMode;
use leveret::envelope::{DEFAULT_FRAME_MAX, Failure, Republish, fit_header, headers, republish};
use leveret::runtime::Target;

use super::hand::Stage;
use super::successor::{Purpose, Sent, Successor, send};
use super::{Dispatcher, Phase};
use crate::verdict::Fault;

/// A job is run once more on its delivery only if it gets its whole time limit, or at least this.
const WORTH_A_RUN: Duration = Duration::from_secs(60);

impl Dispatcher {
    /// Begins to publish what takes the job's place. A job whose lease was lost is left alone: it is delivered again.
    pub(super) fn replace(&mut self, number: u64, purpose: Purpose, why: &Republish) {
        let broker_may_lose = self.broker_may_lose();
        let Some(held) = self.hand.get_mut(number).filter(|held| held.lease.is_some()) else {
            self.hand.remove(number);
            return;
        };
        let incoming = &held.attempt.incoming;
        let message = republish(&held.attempt.message, &incoming.id, incoming.attempt, why);
        let message = match fit_header(message, DEFAULT_FRAME_MAX) {
            Ok(message) => message,
            // Where the broker may lose what it dead-letters, the copy goes without the application's headers.
            Err(_) if purpose == Purpose::DeadLetter && broker_may_lose => {
                let mut bare = republish(&held.attempt.message, &incoming.id, incoming.attempt, why);
                bare.properties
                    .headers
                    .retain(|name, _| name.starts_with(headers::PREFIX));
                bare
            }
            Err(too_large) => return self.gave_up(number, purpose, &too_large.to_string()),
        };
        let successor = Arc::new(Successor {
            target: self.target(purpose),
            message,
            purpose,
            // A returned job can be requeued, and the next attempt can be made here.
            replaceable: purpose != Purpose::DeadLetter || !broker_may_lose,
            timeout: self.wires.options.deadlines().confirm,
            in_doubt: false,
        });
        self.begin(number, successor);
    }

    /// Whether a dead letter that is left to the broker may be lost: a classic queue dead-letters at most once, and of a queue that was
    /// not declared in full here nobody knows what stands behind it.
    fn broker_may_lose(&self) -> bool {
        self.setup.plan.queue.is_classic() || self.wires.options.topology_mode() != TopologyMode::Declare
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
        let patience = held
            .ends(self.setup.plan.longest_hold)
            .saturating_sub(self.wires.clock.now());
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
            Purpose::Retry => self.run_again_here(number, 1),
            Purpose::Snooze => self.run_again_here(number, 0),
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
            Some(entry) if left >= held.attempt.limits.timeout.min(WORTH_A_RUN) && !leaving => {
                held.attempt = Arc::new(held.attempt.again(failed_attempts, left));
                self.hand.wait(number, entry);
            }
            _ => self.requeue(number),
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

    pub(super) fn failure(&self, fault: Fault) -> Failure {
        Failure {
            reason: fault.reason,
            error: fault.error,
            queue: self.setup.plan.queue.name().to_owned(),
            worker: self.setup.surroundings.worker.clone(),
            at: self.wires.clock.wall(),
        }
    }
}
