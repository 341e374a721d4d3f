//! A waker that knows whether it was used while its owner was polling.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

const IDLE: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

/// Stands between a set of futures and the task that polls it. `FuturesUnordered` says `Pending` and wakes itself when it
/// has done enough for one turn; only who sees that wake can tell that from having nothing more to give.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Signal {
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// The task to wake from now on.
    pub(super) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// A round of polling begins: a wake is not passed on until it ends.
    pub(super) fn begin(&self) {
        self.state.store(POLLING, Ordering::SeqCst);
    }

    /// The round ends. `false`: something woke meanwhile, and there must be another round.
    pub(super) fn end(&self) -> bool {
        self.state
            .compare_exchange(POLLING, IDLE, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Wakes the task.
    pub(super) fn wake_task(&self) {
        self.task.wake();
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::SeqCst) != POLLING {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_wake_during_a_round_asks_for_another_and_one_after_it_wakes_the_task() {
        let (task, signal) = (Arc::new(Task::default()), Arc::new(Signal::default()));
        signal.register(&Waker::from(Arc::clone(&task)));

        signal.begin();
        signal.waker().wake();
        assert_eq!((signal.end(), task.0.load(Ordering::SeqCst)), (false, 0));

        signal.begin();
        assert!(signal.end());
        signal.waker().wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
    }
}
