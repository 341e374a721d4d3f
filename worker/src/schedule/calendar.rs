//! When a schedule is due: [`Calendar`]. Pure: time is a number that comes in.

#[cfg(feature = "cron")]
use super::cron::Cron;

/// A point in time: milliseconds since the Unix epoch.
pub(super) type Millis = i64;

/// The windows in which [`Calendar::newest_due`] looks for the newest tick, the youngest first: a minute, an hour, 60 hours, 150 days, 25
/// years. Each is walked through only if those before it were empty, so no walk is long.
const WINDOWS: [Millis; 5] = [60_000, 3_600_000, 216_000_000, 12_960_000_000, 777_600_000_000];

/// Every tick that a schedule will ever have. The same on every replica, whenever it is asked: nothing in it depends on when a
/// process began.
#[derive(Debug, Clone)]
pub(super) enum Calendar {
    /// At the multiples of so many milliseconds since the Unix epoch.
    Every(Millis),
    #[cfg(feature = "cron")]
    Cron(Box<Cron>),
}

impl Calendar {
    /// The first tick after a moment; `None`: there is none any more.
    pub(super) fn next_after(&self, after: Millis) -> Option<Millis> {
        match self {
            Self::Every(period) => (after.div_euclid(*period) + 1).checked_mul(*period),
            #[cfg(feature = "cron")]
            Self::Cron(cron) => cron.next_after(after),
        }
    }

    /// The last tick that is not after `now`, if there is one after `after`.
    pub(super) fn newest_due(&self, after: Millis, now: Millis) -> Option<Millis> {
        for window in WINDOWS {
            let from = after.max(now.saturating_sub(window));
            let mut newest = None;
            let mut at = from;
            while let Some(tick) = self.next_after(at).filter(|tick| *tick <= now) {
                newest = Some(tick);
                at = tick;
            }
            if newest.is_some() || from == after {
                return newest;
            }
        }
        None
    }

    /// What it says, in words that are the same in every replica that has the same.
    pub(super) fn rule(&self) -> String {
        match self {
            Self::Every(period) => format!("every {period} ms"),
            #[cfg(feature = "cron")]
            Self::Cron(cron) => cron.rule(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;

    #[test]
    fn an_interval_is_due_at_its_multiples_whenever_it_is_asked() {
        let quarter = Calendar::Every(15 * MINUTE);
        for (after, next) in [
            (0, 15),
            (1, 15),
            (15 * MINUTE - 1, 15),
            (15 * MINUTE, 30),
            (-1, 0),
            (-15 * MINUTE, 0),
        ] {
            assert_eq!(quarter.next_after(after), Some(next * MINUTE), "after {after}");
        }
        assert_eq!(Calendar::Every(2).next_after(Millis::MAX), None, "the end of time");
    }

    #[test]
    fn the_newest_due_tick_is_the_last_one_up_to_now() {
        let hourly = Calendar::Every(60 * MINUTE);
        let hours = |hours: i64| hours * 60 * MINUTE;
        for (after, now, newest) in [
            (hours(5), hours(5), None),
            (hours(5), hours(6) - 1, None),
            (hours(5), hours(6), Some(hours(6))),
            (hours(5), hours(9) + 1, Some(hours(9))),
            (0, hours(500_000) + MINUTE, Some(hours(500_000))),
            (hours(9), hours(5), None),
        ] {
            assert_eq!(hourly.newest_due(after, now), newest, "after {after}, at {now}");
        }
    }

    #[test]
    fn a_tick_longer_ago_than_a_window_is_found_in_the_next() {
        let yearly = Calendar::Every(365 * 24 * 60 * MINUTE);
        let now = 50 * 365 * 24 * 60 * MINUTE + 200 * 24 * 60 * MINUTE;
        assert_eq!(yearly.newest_due(0, now), Some(50 * 365 * 24 * 60 * MINUTE));
    }
}
