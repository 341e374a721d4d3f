//! The room in a ledger, in entries and in bytes. Taken before an entry is accepted, given back when it is resolved.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
}

/// The room that one entry takes up, as long as this lives.
#[derive(Debug)]
pub(super) struct RoomTaken {
    _entry: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(limits: RoomLimits) -> Self {
        let entries = limits.entries.clamp(1, Semaphore::MAX_PERMITS);
        let bytes = limits.bytes.clamp(1, u32::MAX as usize);
        Self {
            entries: Arc::new(Semaphore::new(entries)),
            bytes: Arc::new(Semaphore::new(bytes)),
            max_claim: u32::try_from(bytes).unwrap_or(u32::MAX),
        }
    }

    /// Waits for room, first come first served. `None` once the lane has stopped.
    pub(super) async fn take(&self, bytes: usize) -> Option<RoomTaken> {
        let entry = Arc::clone(&self.entries).acquire_owned().await.ok()?;
        let bytes = Arc::clone(&self.bytes)
            .acquire_many_owned(self.claim(bytes))
            .await
            .ok()?;
        Some(RoomTaken {
            _entry: entry,
            _bytes: bytes,
        })
    }

    /// Takes room if there is any now.
    pub(super) fn try_take(&self, bytes: usize) -> Option<RoomTaken> {
        let entry = Arc::clone(&self.entries).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(self.claim(bytes)).ok()?;
        Some(RoomTaken {
            _entry: entry,
            _bytes: bytes,
        })
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
