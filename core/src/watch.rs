//! A value that one side changes and any number of others wait on.
//!
//! Tokio has the same, but it wakes the waiting in an order drawn by chance, and a simulation that is to be repeated by its
//! seed needs the same order each time: here they wake in the order in which they began to wait. It also keeps a foreign type
//! out of the public signatures that hand out a state.

use std::fmt;
use std::ops::Deref;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Notify;

/// A side that changes the value. When the last of its clones is dropped, the value stays as it is for ever.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// A side that looks at the value and waits for changes. Clones wait each for themselves.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that this receiver has seen.
    seen: u64,
}

struct Shared<T> {
    state: RwLock<State<T>>,
    changed: Notify,
}

struct State<T> {
    value: T,
    /// Raised by each change.
    version: u64,
    /// How many can change it.
    senders: usize,
}

/// A look at the value. While it lives the value cannot change, so it must not be kept, least of all over an `.await`.
pub struct Ref<'a, T>(RwLockReadGuard<'a, State<T>>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// The sender is gone: there will be no other value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastValue;

impl fmt::Display for LastValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whoever changed this value is gone")
    }
}

impl std::error::Error for LastValue {}

/// A value with both its sides.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (sender, mut receiver) = leveret::watch::channel(1);
/// sender.send_replace(2);
/// receiver.changed().await?;
/// assert_eq!(*receiver.borrow(), 2);
/// drop(sender);
/// assert!(receiver.wait_for(|value| *value == 3).await.is_err());
/// # Ok::<(), leveret::watch::LastValue>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Shared<T> {
    // A panic of a caller's closure leaves the value as the closure left it: there is nothing to protect by poisoning.
    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// A value that nobody watches yet.
    pub fn new(value: T) -> Self {
        let state = State {
            value,
            version: 0,
            senders: 1,
        };
        Self {
            shared: Arc::new(Shared {
                state: RwLock::new(state),
                changed: Notify::new(),
            }),
        }
    }

    /// Someone who watches; what the value is now counts as seen.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver {
            seen: self.shared.read().version,
            shared: Arc::clone(&self.shared),
        }
    }

    /// The value now.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// Sets the value and gives the old one back.
    pub fn send_replace(&self, value: T) -> T {
        let mut old = value;
        self.send_modify(|now| std::mem::swap(now, &mut old));
        old
    }

    /// Changes the value in place.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value in place and wakes the waiting only if `change` says that it did. Says the same.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = {
            let mut state = self.shared.write();
            let modified = change(&mut state.value);
            state.version += u64::from(modified);
            modified
        };
        if modified {
            self.shared.changed.notify_waiters();
        }
        modified
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.write().senders += 1;
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.write().senders -= 1;
        self.shared.changed.notify_waiters();
    }
}

impl<T> Receiver<T> {
    /// The value now.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// The value now; it counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.read();
        self.seen = state.version;
        Ref(state)
    }

    /// Waits for a value that was not seen.
    ///
    /// # Errors
    /// [`LastValue`] if there will be none.
    pub async fn changed(&mut self) -> Result<(), LastValue> {
        loop {
            let mut notified = pin!(self.shared.changed.notified());
            // From here on no change is missed.
            notified.as_mut().enable();
            {
                let state = self.shared.read();
                if state.version != self.seen {
                    self.seen = state.version;
                    return Ok(());
                }
                if state.senders == 0 {
                    return Err(LastValue);
                }
            }
            notified.await;
        }
    }

    /// Waits for a value that satisfies `wanted`; the present one may. The look that is returned may already show a later one.
    ///
    /// # Errors
    /// [`LastValue`] if there will be none.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, LastValue> {
        loop {
            let found = wanted(&self.borrow_and_update());
            if found {
                return Ok(Ref(self.shared.read()));
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            seen: self.seen,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.shared.read().value).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.shared.read().value).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_waiting_wake_in_the_order_in_which_they_began_to_wait() {
        // Given
        let (sender, receiver) = channel(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (mut receiver, woken) = (receiver.clone(), Arc::clone(&woken));
            tasks.spawn(async move {
                receiver.changed().await.expect("the sender lives");
                woken.lock().expect("unpoisoned").push(number);
            });
        }
        tokio::task::yield_now().await;

        // When
        sender.send_replace(1);
        tasks.join_all().await;

        // Then
        assert_eq!(*woken.lock().expect("unpoisoned"), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_change_before_the_wait_is_not_missed_and_the_last_value_stays() {
        let (sender, mut receiver) = channel("old");
        assert_eq!(sender.send_replace("new"), "old");
        drop(sender);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow(), "new");
        assert_eq!(receiver.changed().await, Err(LastValue));
        assert!(receiver.wait_for(|value| *value == "new").await.is_ok());
        assert!(receiver.wait_for(|value| *value == "other").await.is_err());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_changed_nothing_wakes_nobody() {
        let (sender, mut receiver) = channel(1);
        assert!(!sender.send_if_modified(|_| false));
        let waiting = receiver.changed();
        assert!(futures_util::FutureExt::now_or_never(waiting).is_none());
    }
}
