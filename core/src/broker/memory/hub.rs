//! The lock round the broker: one command at a time, wakers called after it is released.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::world::World;
use crate::clock::Clock;

/// What all handles of one broker share.
pub(super) struct Hub {
    pub(super) clock: Clock,
    /// Signalled after each command that changed a queue.
    pub(super) changed: Notify,
    world: Mutex<World>,
}

impl Hub {
    pub(super) fn new(world: World, clock: Clock) -> Self {
        Self {
            clock,
            changed: Notify::new(),
            world: Mutex::new(world),
        }
    }

    /// Runs one command. The world is told the time first, so whatever is due happens before the command does.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut World) -> R) -> R {
        let date = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        let mut world = self.lock();
        world.begin(self.clock.now(), date.map_or(0, |date| date.as_secs()));
        let result = act(&mut world);
        let (wakers, stirred) = world.finish();
        drop(world);
        for waker in wakers {
            waker.wake();
        }
        if stirred {
            self.changed.notify_waiters();
        }
        result
    }

    /// A command that panicked leaves the world as it was between two steps: there is nothing better to go on with.
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
