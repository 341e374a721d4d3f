//! How fast a queue's jobs are done, and so how far ahead they may be fetched: [`Pace`]. Pure.

use std::time::Duration;

/// So many jobs are looked at together.
const LAP: u32 = 100;

/// Of jobs that come more slowly than a lap within this, none need be fetched ahead.
const BUSY: Duration = Duration::from_secs(1);

/// How long jobs may be expected to wait for a slot when they are fetched far ahead: so long does one wait at most that an idle worker could have
/// begun at once.
const SHORT_WAIT: Duration = Duration::from_millis(200);

/// Jobs that are fetched far ahead and held for so long have become slow. Well above the short wait, so that one pace does not become the other and
/// back again.
const LONG_HOLD: Duration = Duration::from_secs(1);

/// How much memory the bodies of jobs that are fetched far ahead may take. Large ones gain little by it anyway.
const ROOM: usize = 16 * 1_024 * 1_024;

/// What one dispatcher has seen of its jobs. A limit on how long a job may run says little of how long it does: the default is 25 minutes, for jobs of
/// a millisecond as well. So the first jobs are fetched as if they were long, and show it.
#[derive(Debug)]
pub(super) struct Pace {
    /// The most that a job may be held on average, for the next to be fetched far ahead.
    fast: Duration,
    /// The same of the size of its body.
    light: usize,
    is_fast: bool,
    /// When the first job of the lap was done, on the worker's clock.
    since: Duration,
    /// How many jobs of it are done.
    ended: u32,
    /// How long they were held, together.
    held: Duration,
    /// How large their bodies were, together.
    bytes: usize,
}

impl Pace {
    /// For `slots` that would have up to `ahead` jobs in hand. Nothing is known yet.
    pub(super) fn new(slots: usize, ahead: u16) -> Self {
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        Self {
            // A job that comes last waits until those before it have gone through the slots.
            fast: SHORT_WAIT.saturating_mul(slots) / u32::from(ahead.max(1)),
            light: ROOM / usize::from(ahead.max(1)),
            is_fast: false,
            since: Duration::ZERO,
            ended: 0,
            held: Duration::ZERO,
            bytes: 0,
        }
    }

    /// An attempt has ended; its job came so long ago, and had a body of so many bytes.
    pub(super) fn ended(&mut self, held: Duration, bytes: usize, now: Duration) {
        if self.ended == 0 {
            self.since = now;
        }
        self.held = self.held.saturating_add(held);
        self.bytes = self.bytes.saturating_add(bytes);
        self.ended += 1;
        if self.ended < LAP {
            return;
        }
        let (held, bytes) = (self.held / LAP, self.bytes / LAP as usize);
        self.is_fast = match self.is_fast {
            true => held <= LONG_HOLD && bytes <= 2 * self.light,
            false => held <= self.fast && bytes <= self.light && now.saturating_sub(self.since) <= BUSY,
        };
        self.begin();
    }

    /// A job has waited for a slot for so long that it was given back.
    pub(super) fn waited_too_long(&mut self) {
        self.is_fast = false;
        self.begin();
    }

    /// Whether the next jobs may be fetched far ahead.
    pub(super) fn is_fast(&self) -> bool {
        self.is_fast
    }

    fn begin(&mut self) {
        (self.ended, self.held, self.bytes) = (0, Duration::ZERO, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Laps of jobs, each held for so long, one after another every so often.
    fn run(pace: &mut Pace, now: &mut Duration, laps: u32, held: Duration, every: Duration) {
        for _ in 0..laps * LAP {
            *now += every;
            pace.ended(held, 150, *now);
        }
    }

    #[test]
    fn jobs_are_fast_if_the_last_of_many_would_not_wait_long() {
        // 10 slots and 200 ahead: twenty rounds in 200 ms.
        for (held, every, fast) in [
            (millis(0), millis(0), true),
            (millis(10), millis(1), true),
            (millis(11), millis(1), false),
            (millis(1), millis(10), true),
            // Nobody waits for these.
            (millis(1), millis(11), false),
        ] {
            let (mut pace, mut now) = (Pace::new(10, 200), millis(7));
            assert!(!pace.is_fast(), "nothing is known yet");
            run(&mut pace, &mut now, 1, held, every);
            assert_eq!(pace.is_fast(), fast, "{held:?} {every:?}");
        }
    }

    #[test]
    fn large_jobs_are_not_fetched_far_ahead_however_fast_they_are() {
        let mut pace = Pace::new(10, 200);
        for (bytes, fast) in [
            (ROOM / 200 + 1, false),
            (ROOM / 200, true),
            (2 * (ROOM / 200), true),
            (2 * (ROOM / 200) + 1, false),
        ] {
            (0..LAP).for_each(|_| pace.ended(Duration::ZERO, bytes, millis(1)));
            assert_eq!(pace.is_fast(), fast, "{bytes}");
        }
    }

    #[test]
    fn more_slots_are_through_sooner() {
        for (slots, fast) in [(1, false), (10, false), (100, true), (2_000, true)] {
            let (mut pace, mut now) = (Pace::new(slots, 200), Duration::ZERO);
            run(&mut pace, &mut now, 1, millis(50), millis(1));
            assert_eq!(pace.is_fast(), fast, "{slots}");
        }
    }

    #[test]
    fn fast_jobs_stay_fast_until_they_are_held_for_long() {
        let (mut pace, mut now) = (Pace::new(10, 200), Duration::ZERO);
        run(&mut pace, &mut now, 1, millis(1), millis(1));
        assert!(pace.is_fast());

        run(&mut pace, &mut now, 1, millis(1_000), millis(1));
        assert!(pace.is_fast(), "they wait behind each other");
        run(&mut pace, &mut now, 1, millis(1), millis(100));
        assert!(pace.is_fast(), "a quiet hour is no slowness");
        run(&mut pace, &mut now, 1, millis(1_001), millis(1));
        assert!(!pace.is_fast());
    }

    #[test]
    fn a_job_that_waited_too_long_ends_it_at_once() {
        let (mut pace, mut now) = (Pace::new(10, 200), Duration::ZERO);
        run(&mut pace, &mut now, 1, millis(1), millis(1));

        pace.waited_too_long();

        assert!(!pace.is_fast());
        run(&mut pace, &mut now, 1, millis(1), millis(1));
        assert!(pace.is_fast(), "and the next lap counts as the first did");
    }
}
