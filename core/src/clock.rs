//! Time as an input: what the in-memory broker, the ledger and the worker read instead of the machine's clocks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A clock that starts when it is made. Copies of it agree.
///
/// ```
/// use leveret::Clock;
///
/// let clock = Clock::system();
/// let before = clock.now();
/// assert!(clock.now() >= before);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Clock(Source);

#[derive(Debug, Clone, Copy)]
enum Source {
    System(Instant),
    Runtime {
        start: tokio::time::Instant,
        /// The date at the start, where the caller has chosen one.
        wall: Option<SystemTime>,
    },
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// Tokio's clock: where a test has paused that, this one stands still as well, the wall time included.
    #[must_use]
    pub fn runtime() -> Self {
        Self(Source::Runtime {
            start: tokio::time::Instant::now(),
            wall: None,
        })
    }

    /// Tokio's clock with a wall time chosen by the caller, so that two runs of a simulation see the same dates.
    #[must_use]
    pub fn runtime_at(wall: SystemTime) -> Self {
        Self(Source::Runtime {
            start: tokio::time::Instant::now(),
            wall: Some(wall),
        })
    }

    /// How long ago the clock was made. It never goes backwards.
    #[must_use]
    pub fn now(&self) -> Duration {
        match self.0 {
            Source::System(start) => start.elapsed(),
            Source::Runtime { start, .. } => start.elapsed(),
        }
    }

    /// The date and time of day.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        match self.0 {
            Source::System(_) => SystemTime::now(),
            Source::Runtime { wall: Some(wall), .. } => wall + self.now(),
            Source::Runtime { wall: None, .. } => date_of(tokio::time::Instant::now().into_std()),
        }
    }
}

/// A moment on both of the machine's clocks.
static ANCHOR: Mutex<Option<(Instant, SystemTime)>> = Mutex::new(None);

/// How far the machine's two clocks may part before their difference is a step, and the anchor is dropped anew.
const STEP: Duration = Duration::from_millis(10);

/// The date at a moment of the steady clock, or of a runtime's, which is ahead of it where a test has paused and moved it. All clocks of a runtime
/// agree on it, and it follows the machine's date, also after that was set or the machine was asleep.
fn date_of(moment: Instant) -> SystemTime {
    let mut anchor = ANCHOR.lock().unwrap_or_else(PoisonError::into_inner);
    let (steady, date) = *anchor.get_or_insert_with(|| (Instant::now(), SystemTime::now()));
    let (before, seen, after) = (Instant::now(), SystemTime::now(), Instant::now());
    let expected = date + before.saturating_duration_since(steady);
    let apart = seen.duration_since(expected).unwrap_or_else(|early| early.duration());
    // Had this thread been kept waiting between the looks, they would not belong together.
    let (steady, date) = if apart > STEP && after - before < STEP / 2 {
        *anchor.insert((before, seen))
    } else {
        (steady, date)
    };
    match moment.checked_duration_since(steady) {
        Some(later) => date + later,
        None => date - steady.duration_since(moment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_clocks_of_a_runtime_tell_one_date_whenever_they_are_made() {
        // Given a clock, in a paused runtime in which a day passes
        let first = Clock::runtime();
        let begun = first.wall();
        tokio::time::sleep(Duration::from_secs(86_400)).await;

        // When another is made
        let second = Clock::runtime();

        // Then both tell the next day
        let passed = |clock: Clock| clock.wall().duration_since(begun).expect("later").as_millis();
        assert_eq!((passed(first), passed(second)), (86_400_000, 86_400_000));
    }

    #[test]
    fn without_a_pause_it_is_the_date_of_the_machine() {
        let (before, now, after) = (SystemTime::now(), Clock::runtime().wall(), SystemTime::now());
        assert!(now >= before - STEP && now <= after + STEP);
    }

    #[tokio::test(start_paused = true)]
    async fn the_runtime_clock_follows_a_paused_runtime() {
        // Given a clock with a known date
        let clock = Clock::runtime_at(SystemTime::UNIX_EPOCH);

        // When an hour passes in the runtime, and none outside
        tokio::time::sleep(Duration::from_secs(3600)).await;

        // Then both of its faces moved by that hour
        assert_eq!(clock.now(), Duration::from_secs(3600));
        assert_eq!(clock.wall(), SystemTime::UNIX_EPOCH + Duration::from_secs(3600));
    }
}
