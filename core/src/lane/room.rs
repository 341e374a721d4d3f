//! The room in a ledger, in entries and in bytes. Taken before an entry is accepted, given back when it is resolved.

use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How much a ledger may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoomLimits {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

/// The room that is left.
#[derive(Debug)]
pub(super) struct Room {
    entries: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// The largest claim: a message above the limit may have the ledger for itself.
    max_claim: u32,
    emptiness: Arc<Emptiness>,
}

/// Knows when the last entry is resolved.
#[derive(Debug)]
struct Emptiness {
    entries: Arc<Semaphore>,
    /// How many entries there is room for.
    limit: usize,
    reached: Notify,
}

impl Emptiness {
    fn is_reached(&self) -> bool {
        self.entries.available_permits() == self.limit
    }
}

/// Looks, once the room is given back, whether it was the last that was taken.
#[derive(Debug)]
struct Leaving(Arc<Emptiness>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if self.0.is_reached() {
            self.0.reached.notify_waiters();
        }
    }
}

/// The room that one entry takes up, as long as this lives.
#[derive(Debug)]
pub(super) struct RoomTaken {
    _entry: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
    /// The last field: it is dropped when the others have been.
    _leaving: Leaving,
}

impl RoomTaken {
    fn of(entry: OwnedSemaphorePermit, bytes: OwnedSemaphorePermit, leaving: Leaving) -> Self {
        Self {
            _entry: entry,
            _bytes: bytes,
            _leaving: leaving,
        }
    }
}

impl Room {
    pub(super) fn new(limits: RoomLimits) -> Self {
        let limit = limits.entries.clamp(1, Semaphore::MAX_PERMITS);
        let bytes = limits.bytes.clamp(1, u32::MAX as usize);
        let entries = Arc::new(Semaphore::new(limit));
        let emptiness = Emptiness {
            entries: Arc::clone(&entries),
            limit,
            reached: Notify::new(),
        };
        Self {
            entries,
            bytes: Arc::new(Semaphore::new(bytes)),
            max_claim: u32::try_from(bytes).unwrap_or(u32::MAX),
            emptiness: Arc::new(emptiness),
        }
    }

    /// Waits for room, first come first served. `None` once the lane has stopped.
    pub(super) async fn take(&self, bytes: usize) -> Option<RoomTaken> {
        // The first: should this be dropped half-way, the look comes after what it had was given back.
        let leaving = self.leaving();
        let entry = Arc::clone(&self.entries).acquire_owned().await.ok()?;
        let bytes = Arc::clone(&self.bytes)
            .acquire_many_owned(self.claim(bytes))
            .await
            .ok()?;
        Some(RoomTaken::of(entry, bytes, leaving))
    }

    /// Takes room if there is any now.
    pub(super) fn try_take(&self, bytes: usize) -> Option<RoomTaken> {
        let leaving = self.leaving();
        let entry = Arc::clone(&self.entries).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(self.claim(bytes)).ok()?;
        Some(RoomTaken::of(entry, bytes, leaving))
    }

    fn leaving(&self) -> Leaving {
        Leaving(Arc::clone(&self.emptiness))
    }

    /// Whether nobody has any.
    pub(super) fn is_empty(&self) -> bool {
        self.emptiness.is_reached()
    }

    /// Waits until nobody has any.
    pub(super) async fn emptied(&self) {
        loop {
            let mut reached = std::pin::pin!(self.emptiness.reached.notified());
            // Registered before the look: an end in between is not missed.
            reached.as_mut().enable();
            if self.is_empty() {
                return;
            }
            reached.await;
        }
    }

    /// Nobody gets room any more.
    pub(super) fn close(&self) {
        self.entries.close();
        self.bytes.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.entries.is_closed()
    }

    fn claim(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.max_claim)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn whoever_waits_for_room_and_gives_up_does_not_hide_that_there_is_nothing_left() {
        // Given room for one, which is taken, somebody who waits for it, and somebody who waits until nobody has any
        let mut cx = Context::from_waker(Waker::noop());
        let room = Room::new(RoomLimits { entries: 1, bytes: 1 });
        let taken = room.try_take(1).expect("there is room");
        let mut waiting = Box::pin(room.take(1));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let mut emptied = pin!(room.emptied());
        assert!(emptied.as_mut().poll(&mut cx).is_pending());

        // When the room is given back to the one who waits, and that one has gone away
        drop(taken);
        assert!(emptied.as_mut().poll(&mut cx).is_pending());
        drop(waiting);

        // Then nobody has any
        assert!(emptied.as_mut().poll(&mut cx).is_ready());
    }
}
