//! How a running handler learns that it should stop: one cause, readable and awaitable.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::sync::Notify;

/// Why a handler is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The worker shuts down, which is no failure of the job. The handler has the rest of the worker's grace to finish or to give up.
    Shutdown,
    /// The broker no longer counts this worker as the one that has the job, because the connection or channel was lost:
    /// it will deliver the job again, here or to another worker. A handler that finishes nevertheless spares this worker
    /// a second run.
    LeaseLost,
    /// The broker has cancelled the consumer that brought the job: its queue was deleted, or (from RabbitMQ 4.3 on) some job of the queue, perhaps this
    /// one, was held for longer than the broker's `consumer_timeout` and is delivered again. A handler that finishes nevertheless settles its
    /// job where that is still possible.
    ConsumerCancelled,
    /// The attempt has outlived its time limit. A blocking handler sees it, which cannot be stopped from outside; an async one is
    /// dropped instead. An `Err` after it is a timeout and spends the attempt.
    TimedOut,
}

/// The switch behind [`Context::cancelled`](crate::Context::cancelled). It lives inside the context's one allocation, which is why
/// it is no `watch` channel: nearly every job ends without anyone having looked at it.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    /// 0, or the cause. Written by the dispatcher, read by the handler.
    cause: AtomicU8,
    /// Whether the handler has looked and found a cause that is not its own fault. Written by the handler, read when it has ended.
    seen: AtomicBool,
    waiters: Notify,
}

impl Switch {
    /// Asks the handler to stop. A later cause takes the place of an earlier one.
    pub(crate) fn fire(&self, cause: Cause) {
        let code = match cause {
            Cause::Shutdown => 1,
            Cause::LeaseLost => 2,
            Cause::ConsumerCancelled => 3,
            Cause::TimedOut => 4,
        };
        self.cause.store(code, Ordering::SeqCst);
        self.waiters.notify_waiters();
    }

    /// The cause, if there is one; the handler is taken to know it from now on.
    pub(crate) fn look(&self) -> Option<Cause> {
        let cause = match self.cause.load(Ordering::SeqCst) {
            0 => return None,
            1 => Cause::Shutdown,
            2 => Cause::LeaseLost,
            3 => Cause::ConsumerCancelled,
            _ => Cause::TimedOut,
        };
        if cause != Cause::TimedOut {
            self.seen.store(true, Ordering::SeqCst);
        }
        Some(cause)
    }

    /// Whether the handler knows that it was asked to stop, for a reason that is not the job's.
    pub(crate) fn was_seen(&self) -> bool {
        self.seen.load(Ordering::SeqCst)
    }

    /// Waits for a cause.
    pub(crate) async fn fired(&self) -> Cause {
        loop {
            let notified = self.waiters.notified();
            let mut notified = std::pin::pin!(notified);
            // Enlisted before looking, or a cause that falls in between would wake nobody.
            notified.as_mut().enable();
            if let Some(cause) = self.look() {
                return cause;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiter_wakes_with_the_cause_and_late_waiters_find_it() {
        let switch = std::sync::Arc::new(Switch::default());
        let waiter = tokio::spawn({
            let switch = switch.clone();
            async move { switch.fired().await }
        });
        tokio::task::yield_now().await;
        assert_eq!((switch.look(), switch.was_seen()), (None, false));

        switch.fire(Cause::Shutdown);

        assert_eq!(waiter.await.expect("the waiter ends"), Cause::Shutdown);
        assert!(switch.was_seen());
        for cause in [Cause::LeaseLost, Cause::ConsumerCancelled, Cause::Shutdown] {
            switch.fire(cause);
            assert_eq!(switch.fired().await, cause);
        }
    }

    #[test]
    fn only_a_cause_that_is_not_the_jobs_own_excuses_its_error() {
        for (cause, excuses) in [
            (Cause::Shutdown, true),
            (Cause::LeaseLost, true),
            (Cause::ConsumerCancelled, true),
            (Cause::TimedOut, false),
        ] {
            let switch = Switch::default();
            switch.fire(cause);
            assert!(!switch.was_seen(), "nobody has looked");
            assert_eq!((switch.look(), switch.was_seen()), (Some(cause), excuses));
        }
    }
}
