//! How busy the dispatchers are, for who waits until there is nothing left to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leveret::watch;

/// What one queue's dispatcher is busy with. Two that are equal and idle: nothing has come or gone in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// Whether nothing is in hand: no delivery waits, runs, or waits for its successor.
    pub(crate) idle: bool,
    /// Deliveries so far, as of the last time it was idle.
    pub(crate) delivered: u64,
    /// When a channel was last lost, on the worker's clock. What was on it comes back when the broker notices.
    pub(crate) lost_at: Option<Duration>,
}

/// The pulses of all queues by name.
pub(crate) type Pulses = watch::Sender<BTreeMap<String, Pulse>>;

/// Writes one queue's pulse.
#[derive(Debug)]
pub(crate) struct Beat {
    queue: String,
    pulses: Arc<Pulses>,
    now: Pulse,
    told: Pulse,
}

impl Beat {
    pub(crate) fn new(queue: &str, pulses: Arc<Pulses>) -> Self {
        pulses.send_modify(|pulses| {
            pulses.insert(queue.to_owned(), Pulse::default());
        });
        Self {
            queue: queue.to_owned(),
            pulses,
            now: Pulse::default(),
            told: Pulse::default(),
        }
    }

    /// A delivery came.
    pub(crate) fn delivered(&mut self) {
        self.now.delivered += 1;
    }

    /// A channel was lost.
    pub(crate) fn lost(&mut self, now: Duration) {
        self.now.lost_at = Some(now);
    }

    /// Tells what is new. A busy dispatcher tells once that it is, and then nothing until it is idle.
    pub(crate) fn tell(&mut self, idle: bool) {
        self.now.idle = idle;
        let is_news = idle || self.told.idle || self.now.lost_at != self.told.lost_at;
        if !is_news || self.now == self.told {
            return;
        }
        self.told = self.now;
        self.pulses.send_modify(|pulses| {
            pulses.insert(self.queue.clone(), self.told);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_dispatcher_tells_nothing_new_until_it_is_idle() {
        let pulses = Arc::new(Pulses::new(BTreeMap::new()));
        let mut beat = Beat::new("mail", pulses.clone());
        let now = || pulses.borrow()["mail"];
        beat.tell(true);
        assert_eq!((now().idle, now().delivered), (true, 0));

        beat.delivered();
        beat.tell(false);
        assert_eq!((now().idle, now().delivered), (false, 1));
        beat.delivered();
        beat.tell(false);
        assert_eq!(now().delivered, 1, "nobody is told");

        beat.tell(true);
        assert_eq!((now().idle, now().delivered), (true, 2));
        beat.delivered();
        beat.tell(true);
        assert_eq!(
            now().delivered,
            3,
            "a delivery that was dealt with at once shows as well"
        );
    }
}
