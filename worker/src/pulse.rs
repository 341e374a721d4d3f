//! Signs of life of the dispatchers, for who waits until there is nothing left to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What one queue's dispatcher has met with. Written by the dispatcher, read by whoever drains the worker. Two equal looks, and nothing in hand
/// at both: nothing has come or gone in between.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    deliveries: AtomicU64,
    /// When a channel was last lost, in milliseconds on the worker's clock, plus one; 0: never.
    lost_at: AtomicU64,
    /// How many consumers were replaced because they had fallen silent.
    silent: AtomicU64,
}

/// The pulses of all queues by name.
pub(crate) type Pulses = BTreeMap<String, Arc<Pulse>>;

/// A pulse as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    deliveries: u64,
    /// When a channel was last lost. What was on it comes back when the broker notices.
    pub(crate) lost_at: Option<Duration>,
}

impl Pulse {
    /// A delivery came.
    pub(crate) fn delivered(&self) {
        self.deliveries.fetch_add(1, Ordering::SeqCst);
    }

    /// A channel was lost.
    pub(crate) fn lost(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1);
        self.lost_at.store(millis + 1, Ordering::SeqCst);
    }

    /// A consumer had fallen silent.
    pub(crate) fn silent(&self) {
        self.silent.fetch_add(1, Ordering::SeqCst);
    }

    /// How many had.
    pub(crate) fn silent_consumers(&self) -> u64 {
        self.silent.load(Ordering::SeqCst)
    }

    pub(crate) fn now(&self) -> Beat {
        let lost_at = self.lost_at.load(Ordering::SeqCst).checked_sub(1);
        Beat {
            deliveries: self.deliveries.load(Ordering::SeqCst),
            lost_at: lost_at.map(Duration::from_millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_changes_the_beat() {
        let pulse = Pulse::default();
        let at_rest = pulse.now();
        assert_eq!(at_rest.lost_at, None);

        pulse.delivered();
        let delivered = pulse.now();
        assert_ne!(at_rest, delivered);

        pulse.lost(Duration::ZERO);
        assert_ne!(delivered, pulse.now());
        assert_eq!(pulse.now().lost_at, Some(Duration::ZERO));
    }
}
