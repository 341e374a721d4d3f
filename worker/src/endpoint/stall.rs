//! Whether a runtime still gets round to new work: [`Stall`].

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Since when a runtime owes a turn. Written by its watch, read for each probe.
#[derive(Debug, Default)]
pub(super) struct Stall {
    since: Mutex<Option<Instant>>,
}

impl Stall {
    /// Asks for turns, one after another.
    pub(super) async fn watch<F: Future<Output = ()>>(&self, mut turn: impl FnMut() -> F) -> Infallible {
        loop {
            self.set(Some(Instant::now()));
            turn().await;
            self.set(None);
            sleep(EVERY).await;
        }
    }

    /// How long the turn that was asked for last has been waited for.
    pub(super) fn lasts(&self) -> Duration {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn set(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}
