//! What a schedule owes: the catch-up policy, and what a changed schedule makes of an old baton. Pure.

use super::CatchUp;
use super::calendar::{Calendar, Millis};
use super::note::Note;

/// A tick that is later than this was missed: longer than a failover takes, two heartbeats and the reconnect, by default.
pub(super) const ON_TIME: Millis = 60_000;

/// When a schedule is due, and what becomes of ticks that were missed.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) calendar: Calendar,
    pub(super) catch_up: CatchUp,
    /// The calendar in words.
    pub(super) rule: String,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    /// This tick.
    Tick(Millis),
    /// A baton under the present rule: the schedule was changed, and owes nothing for the time before.
    Rebase,
    /// Nothing until then, or ever again.
    Nothing(Option<Millis>),
}

impl Terms {
    pub(super) fn new(calendar: Calendar, catch_up: CatchUp) -> Self {
        Self {
            rule: calendar.rule(),
            calendar,
            catch_up,
        }
    }

    /// What is owed at `now`, given the newest note.
    pub(super) fn owed(&self, note: &Note, now: Millis) -> Owed {
        if note.rule != self.rule {
            let promised = note.next.filter(|next| *next > note.last && *next <= now);
            return promised
                .filter(|tick| self.catches_up(*tick, now))
                .map_or(Owed::Rebase, Owed::Tick);
        }
        let due = match self.catch_up {
            CatchUp::All => self.calendar.next_after(note.last).filter(|tick| *tick <= now),
            CatchUp::One | CatchUp::Skip => self.calendar.newest_due(note.last, now),
        };
        match due.filter(|tick| self.catches_up(*tick, now)) {
            Some(tick) => Owed::Tick(tick),
            // Where the clock was set back, everything up to the baton has been done all the same.
            None => Owed::Nothing(self.calendar.next_after(now.max(note.last))),
        }
    }

    fn catches_up(&self, tick: Millis, now: Millis) -> bool {
        self.catch_up != CatchUp::Skip || now - tick <= ON_TIME
    }

    /// How far a baton is that follows `note`, after `ticked` was enqueued.
    pub(super) fn moved_on(&self, note: &Note, ticked: Option<Millis>, now: Millis) -> Millis {
        let last = ticked.map_or(note.last, |tick| tick.max(note.last));
        match note.rule == self.rule {
            true => last,
            false => last.max(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::Kind;
    use super::*;

    const HOUR: Millis = 3_600_000;

    fn terms(catch_up: CatchUp) -> Terms {
        Terms::new(Calendar::Every(HOUR), catch_up)
    }

    fn baton(last: Millis) -> Note {
        Note {
            kind: Kind::Baton,
            last,
            next: Some(last + HOUR),
            serial: 1,
            by: "someone".to_owned(),
            rule: "every 3600000 ms".to_owned(),
            job: "report".to_owned(),
        }
    }

    use CatchUp::{All, One, Skip};
    use Owed::{Nothing, Rebase, Tick};

    #[test]
    fn each_policy_owes_its_part_of_what_was_missed() {
        let at = |hours: f64| (hours * HOUR as f64) as Millis;
        for (policy, last, now, owed) in [
            // On time.
            (Skip, 5, at(6.0), Tick(6 * HOUR)),
            (One, 5, at(6.0), Tick(6 * HOUR)),
            (All, 5, at(6.0), Tick(6 * HOUR)),
            // Not yet.
            (Skip, 5, at(5.9), Nothing(Some(6 * HOUR))),
            (One, 5, at(5.9), Nothing(Some(6 * HOUR))),
            (All, 5, at(5.9), Nothing(Some(6 * HOUR))),
            // A failover late.
            (Skip, 5, 6 * HOUR + ON_TIME, Tick(6 * HOUR)),
            // Missed.
            (Skip, 5, 6 * HOUR + ON_TIME + 1, Nothing(Some(7 * HOUR))),
            (One, 5, 6 * HOUR + ON_TIME + 1, Tick(6 * HOUR)),
            (All, 5, 6 * HOUR + ON_TIME + 1, Tick(6 * HOUR)),
            // Several missed.
            (Skip, 5, at(9.5), Nothing(Some(10 * HOUR))),
            (One, 5, at(9.5), Tick(9 * HOUR)),
            (All, 5, at(9.5), Tick(6 * HOUR)),
            // Several missed, the newest on time.
            (Skip, 5, at(9.0), Tick(9 * HOUR)),
        ] {
            assert_eq!(
                terms(policy).owed(&baton(last * HOUR), now),
                owed,
                "{policy:?}, {last} h, {now}"
            );
        }
    }

    #[test]
    fn all_that_was_missed_is_owed_one_after_the_other() {
        let (terms, now) = (terms(All), 9 * HOUR + 1);
        let mut note = baton(5 * HOUR);
        let mut ticks = Vec::new();
        while let Tick(tick) = terms.owed(&note, now) {
            ticks.push(tick / HOUR);
            note.last = terms.moved_on(&note, Some(tick), now);
        }
        assert_eq!(ticks, [6, 7, 8, 9]);
    }

    #[test]
    fn a_clock_that_was_set_back_owes_nothing_twice() {
        for policy in [Skip, One, All] {
            // Given a baton at noon, when the clock says nine, then nothing is owed before one in the afternoon
            let owed = terms(policy).owed(&baton(12 * HOUR), 9 * HOUR);
            assert_eq!(owed, Nothing(Some(13 * HOUR)), "{policy:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_forward_owes_what_an_outage_of_that_length_would() {
        for (policy, owed) in [
            (Skip, Nothing(Some(31 * HOUR))),
            (One, Tick(30 * HOUR)),
            (All, Tick(6 * HOUR)),
        ] {
            assert_eq!(
                terms(policy).owed(&baton(5 * HOUR), 30 * HOUR + HOUR / 2),
                owed,
                "{policy:?}"
            );
        }
    }

    #[test]
    fn a_changed_schedule_owes_what_the_old_one_had_promised_and_no_more() {
        let half_hourly = |policy| Terms::new(Calendar::Every(HOUR / 2), policy);
        for (policy, now, owed) in [
            // The old rule's next tick is still to come: it is the new rule's business now.
            (One, 6 * HOUR - 1, Rebase),
            // It was due while nobody led.
            (Skip, 6 * HOUR + 100, Tick(6 * HOUR)),
            (One, 9 * HOUR, Tick(6 * HOUR)),
            (All, 9 * HOUR, Tick(6 * HOUR)),
            (Skip, 9 * HOUR, Rebase),
        ] {
            assert_eq!(
                half_hourly(policy).owed(&baton(5 * HOUR), now),
                owed,
                "{policy:?} {now}"
            );
        }
        // Nothing of the time before the change is owed under the new rule.
        let all = half_hourly(All);
        assert_eq!(all.moved_on(&baton(5 * HOUR), Some(6 * HOUR), 9 * HOUR), 9 * HOUR);
        assert_eq!(all.moved_on(&baton(5 * HOUR), None, 9 * HOUR), 9 * HOUR);
        // And a baton that is ahead of the clock stays so.
        assert_eq!(all.moved_on(&baton(12 * HOUR), None, 9 * HOUR), 12 * HOUR);
    }

    #[test]
    fn a_baton_moves_on_with_its_ticks_and_never_back() {
        let terms = terms(One);
        assert_eq!(terms.moved_on(&baton(5 * HOUR), Some(6 * HOUR), 7 * HOUR), 6 * HOUR);
        assert_eq!(terms.moved_on(&baton(5 * HOUR), None, 7 * HOUR), 5 * HOUR);
        assert_eq!(terms.moved_on(&baton(8 * HOUR), Some(6 * HOUR), 7 * HOUR), 8 * HOUR);
    }
}
