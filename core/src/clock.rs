//! Time as an input: what the in-memory broker, the ledger and the worker read instead of the machine's clocks.

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
        wall: SystemTime,
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
        Self::runtime_at(SystemTime::now())
    }

    /// Tokio's clock with a wall time chosen by the caller, so that two runs of a simulation see the same dates.
    #[must_use]
    pub fn runtime_at(wall: SystemTime) -> Self {
        Self(Source::Runtime {
            start: tokio::time::Instant::now(),
            wall,
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
            Source::Runtime { wall, .. } => wall + self.now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
