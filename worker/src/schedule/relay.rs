//! The race for the baton, as one replica runs it: [`Relay`]. Pure: what happened and the time come in, what is to be done comes out.
//!
//! The queue of a schedule has a single active consumer; AMQP does not tell a consumer whether it is the one. So each replica *calls* when it has
//! subscribed: the queue is never empty, and whoever gets a delivery is the active one. It calls once more, and when that call comes back it
//! has seen all that lay in the queue before: the note that is ahead of all others is the baton, the others are acked away. From then on it
//! leads. A tick goes in three steps, and a crash between any two leaves something from which the next leader goes on:
//!
//! 1. The tick is published and confirmed. (Crash before the confirm or after it: the next leader publishes it once more, with the same id.)
//! 2. A new baton is published and confirmed. (Crash: two batons lie there, the new one is ahead.)
//! 3. The old one is acked. (The same.)
//!
//! The next tick waits until the new baton has come to this replica: a leader that was replaced without noticing gets nothing delivered any
//! more, and so publishes at most the one tick that was under way.

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;

use std::time::Duration;

use super::calendar::Millis;
use super::due::{Owed, Terms};
use super::note::{Kind, Note};

/// How long the wall clock is trusted to go on as it does: it may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The waits after the broker has refused something: this, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The time in both ways that it is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// The date; it may jump.
    pub(super) wall: Millis,
    /// Since some beginning; it does not.
    pub(super) mono: Duration,
}

/// Who runs, and by which rules.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    pub(super) terms: Terms,
    /// The name of the job that it enqueues.
    pub(super) job: String,
    /// Tells this subscription from all others.
    pub(super) id: String,
    /// How long a note is held before a fresh one takes its place: well below the broker's consumer timeout.
    pub(super) renewal: Duration,
    /// How long what this replica has sent itself may be under way.
    pub(super) patience: Duration,
}

/// What is published on the channel. One at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parcel {
    /// The job of this tick.
    Tick(Millis),
    /// Into the schedule's own queue.
    Note(Note),
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Publish(Parcel),
    /// Nothing, for so long or until something happens.
    Rest(Duration),
    /// To leave the channel: what was sent has not come back. Another replica leads, or nobody does.
    GiveUp,
}

/// What others may know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Standby,
    Leading { last: Millis, next: Option<Millis> },
}

/// The state of one subscription. `L` is what settles a delivery.
#[derive(Debug)]
pub(super) struct Relay<L> {
    runner: Runner,
    phase: Phase,
    /// The note that is ahead of all seen so far, unsettled.
    held: Option<Held<L>>,
    in_flight: Option<Parcel>,
    /// To be acked.
    done_with: Vec<L>,
    calls: u64,
    pause: Pause,
}

#[derive(Debug)]
struct Held<L> {
    note: Note,
    lease: L,
    since: Duration,
}

#[derive(Debug)]
enum Phase {
    /// Nothing was delivered yet: somebody else leads. `called`: when a call was last stored.
    Standby { called: Option<Duration> },
    /// Something was delivered, so this is the active consumer. Once its own call of this number comes back, it has seen everything.
    Calling { call: Option<(u64, Duration)> },
    /// It holds the baton. `ticked`: enqueued, and not in the baton yet.
    Leading { ticked: Option<Millis> },
    /// This baton is stored and has to come back.
    Passing { baton: Note, since: Duration },
}

/// After refusals.
#[derive(Debug, Default)]
struct Pause {
    refusals: u32,
    until: Duration,
}

impl<L> Relay<L> {
    pub(super) fn new(runner: Runner) -> Self {
        Self {
            runner,
            phase: Phase::Standby { called: None },
            held: None,
            in_flight: None,
            done_with: Vec::new(),
            calls: 0,
            pause: Pause::default(),
        }
    }

    /// What is to be done. Of a parcel, [`Relay::stored`] or [`Relay::refused`] has to tell before the next.
    pub(super) fn step(&mut self, now: Now) -> Step {
        if self.in_flight.is_some() || now.mono < self.pause.until {
            let left = self.pause.until.saturating_sub(now.mono);
            return Step::Rest(if left.is_zero() { LOOK_AGAIN } else { left });
        }
        match &self.phase {
            Phase::Standby { called } => match called.map(|at| at + self.runner.renewal) {
                // Now and then once more: somebody may have emptied the queue.
                Some(again) if now.mono < again => Step::Rest(again - now.mono),
                _ => self.call(now),
            },
            Phase::Calling { call: None } => self.call(now),
            Phase::Calling { call: Some((_, since)) } | Phase::Passing { since, .. } => {
                match (*since + self.runner.patience).checked_sub(now.mono) {
                    Some(left) if !left.is_zero() => Step::Rest(left),
                    _ => Step::GiveUp,
                }
            }
            Phase::Leading { ticked } => self.lead(*ticked, now),
        }
    }

    fn call(&mut self, now: Now) -> Step {
        self.calls += 1;
        if let Phase::Calling { call } = &mut self.phase {
            *call = Some((self.calls, now.mono));
        }
        let note = self.note(Kind::Call, now.wall, self.calls);
        self.publish(Parcel::Note(note))
    }

    fn lead(&mut self, ticked: Option<Millis>, now: Now) -> Step {
        let Some(held) = &self.held else {
            return Step::GiveUp;
        };
        if ticked.is_some() || now.mono >= held.since + self.runner.renewal {
            return self.pass_on(ticked, now);
        }
        match self.runner.terms.owed(&held.note, now.wall) {
            Owed::Tick(tick) => self.publish(Parcel::Tick(tick)),
            Owed::Rebase => self.pass_on(None, now),
            Owed::Nothing(next) => {
                let fresh = held.since + self.runner.renewal - now.mono;
                let due = next.map_or(LOOK_AGAIN, |next| millis(next.saturating_sub(now.wall)));
                Step::Rest(due.min(fresh).min(LOOK_AGAIN))
            }
        }
    }

    fn pass_on(&mut self, ticked: Option<Millis>, now: Now) -> Step {
        let Some(Held { note, .. }) = &self.held else {
            return Step::GiveUp;
        };
        let last = self.runner.terms.moved_on(note, ticked, now.wall);
        let serial = match note.kind {
            Kind::Baton => note.serial.saturating_add(1),
            Kind::Call => 1,
        };
        let baton = self.note(Kind::Baton, last, serial);
        self.publish(Parcel::Note(baton))
    }

    fn publish(&mut self, parcel: Parcel) -> Step {
        self.in_flight = Some(parcel.clone());
        Step::Publish(parcel)
    }

    fn note(&self, kind: Kind, last: Millis, serial: u64) -> Note {
        Note {
            kind,
            last,
            next: self.runner.terms.calendar.next_after(last),
            serial,
            by: self.runner.id.clone(),
            rule: self.runner.terms.rule.clone(),
            job: self.runner.job.clone(),
        }
    }

    /// The broker has confirmed what was published.
    pub(super) fn stored(&mut self, now: Now) {
        self.pause = Pause::default();
        match self.in_flight.take() {
            Some(Parcel::Tick(tick)) => {
                if let Phase::Leading { ticked } = &mut self.phase {
                    *ticked = Some(tick);
                }
            }
            Some(Parcel::Note(note)) if note.kind == Kind::Baton => {
                if self.held.as_ref().is_some_and(|held| !note.is_ahead_of(&held.note)) {
                    // It came before its confirm, or another leader's that is further.
                    self.phase = Phase::Leading { ticked: None };
                    return;
                }
                // Only now: until here the old one is all there is.
                self.done_with.extend(self.held.take().map(|held| held.lease));
                self.phase = Phase::Passing {
                    baton: note,
                    since: now.mono,
                };
            }
            Some(Parcel::Note(_)) => {
                if let Phase::Standby { called } = &mut self.phase {
                    *called = Some(now.mono);
                }
            }
            None => {}
        }
    }

    /// The broker has refused what was published: it is not stored, and is tried again after a pause.
    pub(super) fn refused(&mut self, now: Now) {
        self.in_flight = None;
        if let Phase::Calling { call } = &mut self.phase {
            *call = None;
        }
        let doubled = FIRST_PAUSE * 2_u32.saturating_pow(self.pause.refusals.min(10));
        self.pause = Pause {
            refusals: self.pause.refusals.saturating_add(1),
            until: now.mono + doubled.min(LONGEST_PAUSE),
        };
    }

    /// A note was delivered.
    pub(super) fn delivered(&mut self, note: Note, lease: L, now: Now) {
        let held = Held {
            note,
            lease,
            since: now.mono,
        };
        match &self.phase {
            Phase::Standby { .. } => {
                self.keep_the_first(held);
                self.phase = Phase::Calling { call: None };
            }
            Phase::Calling { call } => {
                let own = |call: u64| {
                    held.note.by == self.runner.id && held.note.kind == Kind::Call && held.note.serial == call
                };
                let has_seen_all = call.is_some_and(|(call, _)| own(call));
                self.keep_the_first(held);
                if has_seen_all {
                    self.phase = Phase::Leading { ticked: None };
                }
            }
            Phase::Leading { .. } => self.keep_the_first(held),
            Phase::Passing { baton, .. } if held.note == *baton || held.note.is_ahead_of(baton) => {
                self.held = Some(held);
                self.phase = Phase::Leading { ticked: None };
            }
            // The baton that is under way is stored: whatever is behind it can go.
            Phase::Passing { .. } => self.done_with.push(held.lease),
        }
    }

    /// Keeps what is ahead and lets go of the other.
    fn keep_the_first(&mut self, new: Held<L>) {
        let behind = match &mut self.held {
            Some(held) if new.note.is_ahead_of(&held.note) => std::mem::replace(held, new),
            Some(_) => new,
            None => {
                self.held = Some(new);
                return;
            }
        };
        self.done_with.push(behind.lease);
    }

    /// The deliveries that are to be acked now.
    pub(super) fn take_done_with(&mut self) -> Vec<L> {
        std::mem::take(&mut self.done_with)
    }

    /// Whether leaving now costs nothing: no tick is half done.
    pub(super) fn may_leave(&self) -> bool {
        let half_done = matches!(self.phase, Phase::Leading { ticked: Some(_) });
        self.in_flight.is_none() && !half_done
    }

    pub(super) fn standing(&self) -> Standing {
        let note = match (&self.phase, &self.held) {
            (Phase::Passing { baton, .. }, _) => baton,
            (Phase::Leading { .. }, Some(held)) => &held.note,
            _ => return Standing::Standby,
        };
        Standing::Leading {
            last: note.last,
            next: self.runner.terms.calendar.next_after(note.last),
        }
    }
}

fn millis(millis: Millis) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
