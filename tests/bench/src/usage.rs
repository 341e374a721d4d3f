//! What a stretch of time costs this process.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// Since when, and what had been spent by then.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    begun: Instant,
    spent: Spent,
}

/// What is spent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Wall clock.
    pub wall: Duration,
    /// Of all threads, in seconds.
    pub cpu: f64,
    /// Voluntary and involuntary context switches.
    pub switches: i64,
    /// Calls of the allocator; 0 where they are not counted.
    pub allocations: u64,
}

impl Stretch {
    /// From now on.
    pub fn begin() -> Self {
        Self {
            begun: Instant::now(),
            spent: so_far(),
        }
    }

    /// What it has cost until now.
    pub fn end(&self) -> Spent {
        let (wall, now) = (self.begun.elapsed(), so_far());
        Spent {
            wall,
            cpu: now.cpu - self.spent.cpu,
            switches: now.switches - self.spent.switches,
            allocations: now.allocations - self.spent.allocations,
        }
    }
}

/// Uses up so much CPU.
pub fn spend(cpu: Duration) {
    let enough = so_far().cpu + cpu.as_secs_f64();
    while so_far().cpu < enough {}
}

fn so_far() -> Spent {
    // It fails for an unknown argument only.
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Spent::default();
    };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Spent {
        wall: Duration::ZERO,
        cpu: micros as f64 / 1e6,
        switches: usage.voluntary_context_switches() + usage.involuntary_context_switches(),
        allocations: allocations(),
    }
}

/// The most memory this process ever had, in MB.
pub fn peak_memory_mb() -> f64 {
    let peak = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss()) as f64;
    // Bytes on macOS, KiB elsewhere.
    if cfg!(target_os = "macos") {
        peak / 1e6
    } else {
        peak * 1024.0 / 1e6
    }
}

#[cfg(feature = "allocations")]
fn allocations() -> u64 {
    crate::ALLOCATOR.stats().allocations as u64
}

#[cfg(not(feature = "allocations"))]
const fn allocations() -> u64 {
    0
}
