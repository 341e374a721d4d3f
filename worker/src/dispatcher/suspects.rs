//! Suspects: jobs that may have crashed their workers. The work queue's dispatcher puts them aside; that of `<queue>.suspect` starts
//! them, one by one, while the worker holds no other job. See `suspicion` for what makes one, `quiet` for how a worker is cleared.

use std::task::Context;
use std::time::Duration;

use leveret::Message;
use leveret::envelope::{Incoming, Republish, headers};

use super::suspicion::{Course, Past, Standing, number};
use super::{Dispatcher, Role};
use crate::quiet::Solo;
use crate::settling::Purpose;
use crate::verdict::Ended;

/// How long the worker is kept for suspects when none is there: the next is on its way.
const LINGER: Duration = Duration::from_millis(500);

impl Dispatcher {
    /// What a delivery's past means for it: how it stands as a suspect, and whether it may wait for a slot.
    pub(super) fn judge(
        &self,
        message: &Message,
        incoming: &Incoming,
        redelivered: bool,
    ) -> (Standing, Option<Purpose>) {
        let excused = self.excused.times(super::key::Key::of(incoming).as_ref());
        match self.setup.role {
            Role::Work => {
                let past = Past {
                    redelivered,
                    counted: (!self.setup.plan.queue.is_classic()).then_some(incoming.delivery_count),
                    noted: number(message, headers::CRASHES),
                    excused,
                };
                let purpose = match past.course() {
                    Course::Run => None,
                    Course::Note => Some(Purpose::NoteCrash),
                    Course::PutAside => Some(Purpose::PutAside { starts: 0 }),
                };
                (Standing::Plain, purpose)
            }
            Role::Suspects => {
                let standing = Standing::of(message, redelivered && excused == 0);
                // What counts as a start must be started, or not count: whoever else runs here now could crash this worker.
                let disarm = matches!(standing, Standing::Armed(_)) && !self.is_alone();
                let rest = Purpose::PutAside {
                    starts: standing.without_this_start(),
                };
                (standing, disarm.then_some(rest))
            }
        }
    }

    /// Begins to move a delivery elsewhere, because of its past.
    pub(super) fn move_on(&mut self, number: u64, purpose: Purpose) {
        if let Some(held) = self.hand.get_mut(number) {
            let (job, id) = (held.attempt.incoming.name.as_deref(), &held.attempt.incoming.id);
            match purpose {
                Purpose::PutAside { starts: 0 } if self.setup.role == Role::Work => {
                    let queue = self.setup.plan.queue.name();
                    tracing::warn!(queue, job, %id, "may have crashed its worker twice; it is put aside, to be run alone");
                }
                _ => tracing::debug!(job, %id, ?purpose, "moved on"),
            }
        }
        self.replace(number, purpose, &Republish::Again);
    }

    /// Back where it came from, its starts as they were: a suspect is given back by a copy, because one that comes again was started.
    pub(super) fn put_back(&mut self, number: u64, standing: Standing) {
        let starts = standing.without_this_start();
        self.replace(number, Purpose::PutAside { starts }, &Republish::Again);
    }

    /// Starts the suspect in hand, once the worker holds nothing else; before that, its start is counted.
    pub(super) fn fill_the_one_slot(&mut self) {
        let Some(number) = self.hand.first_waiting() else {
            return;
        };
        self.linger = None;
        if self.solo.is_none() {
            self.solo = self.setup.quiet.ask();
        }
        if !self.is_alone() {
            return;
        }
        self.hand.next_waiting();
        let Some(held) = self.hand.get_mut(number) else { return };
        match held.standing {
            Standing::Resting(starts) => {
                let starts = starts.saturating_add(1);
                self.replace(number, Purpose::Arm { starts }, &Republish::Again);
            }
            Standing::Plain | Standing::Armed(_) => self.start(number),
        }
    }

    fn is_alone(&self) -> bool {
        self.solo.as_ref().is_some_and(Solo::is_alone)
    }

    /// The verdict on a suspect that was started as often as may be.
    pub(super) fn poison(standing: Standing) -> Option<Ended> {
        standing.used_up().map(|starts| Ended::Poison { starts })
    }

    /// Gives the worker back to the others, a moment after the last suspect. Called after everything that may have emptied the hand.
    pub(super) fn linger(&mut self) {
        if self.solo.is_some() && self.linger.is_none() && self.hand.is_empty() {
            self.linger = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
    }

    /// The copy that counts a start is stored and on its way: it gets as long as a slow broker may take. Were the worker given back before
    /// it comes, it would have to be disarmed, and again each time.
    pub(super) fn linger_for_the_armed(&mut self) {
        if self.solo.is_some() && self.hand.is_empty() {
            let patience = self.wires.options.deadlines().rpc;
            self.linger = Some(Box::pin(tokio::time::sleep(patience.max(LINGER))));
        }
    }

    pub(super) fn lingered(&mut self, cx: &mut Context<'_>) -> bool {
        let over = self
            .linger
            .as_mut()
            .is_some_and(|linger| linger.as_mut().poll(cx).is_ready());
        if over {
            self.linger = None;
            if self.hand.is_empty() {
                self.solo = None;
            }
        }
        over
    }
}
