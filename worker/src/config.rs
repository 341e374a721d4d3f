//! What can be set on a worker, with its defaults and the limits that follow from it.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret::Queue;

/// How many jobs of a queue run at once unless set.
pub const DEFAULT_CONCURRENCY: usize = 10;

/// The largest prefetch that a quorum queue honours, and so the largest concurrency of one queue in one worker.
pub const MAX_PREFETCH: u16 = 2_000;

/// A job that may run longer than this is not fetched before there is a slot for it.
pub(crate) const LONG_JOB: Duration = Duration::from_secs(5 * 60);

/// The settings of a worker that concern all its queues.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Shown to the operator and written into failure records.
    pub(crate) name: String,
    /// How long running jobs may go on after a shutdown began.
    pub(crate) shutdown_grace: Duration,
    /// The limit of an attempt whose job type sets none.
    pub(crate) job_timeout: Duration,
    /// The same for single queues, by name.
    pub(crate) queue_timeouts: BTreeMap<String, Duration>,
    /// What the broker is taken to allow between a delivery and its ack.
    pub(crate) consumer_timeout: Duration,
    /// How many threads the blocking handlers have, if set.
    pub(crate) blocking_threads: Option<usize>,
    /// Of the machine.
    pub(crate) cores: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            name: "leveret".to_owned(),
            shutdown_grace: Duration::from_secs(25),
            job_timeout: minutes(25),
            queue_timeouts: BTreeMap::new(),
            consumer_timeout: minutes(30),
            blocking_threads: None,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl Settings {
    /// How long after its delivery a job must be settled: the broker's limit, less a margin for settling it. Brokers
    /// that enforce the limit close the channel over it, with every other job on it.
    pub(crate) fn longest_hold(&self) -> Duration {
        let margin = (self.consumer_timeout / 10).min(Duration::from_secs(60));
        self.consumer_timeout.saturating_sub(margin)
    }
}

/// What was set for one queue.
#[derive(Debug, Clone)]
pub(crate) struct QueueSetting {
    pub(crate) queue: Queue,
    pub(crate) concurrency: Option<usize>,
    pub(crate) prefetch: Option<u16>,
}

/// What holds for one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueuePlan {
    pub(crate) queue: Queue,
    /// How many jobs run at once.
    pub(crate) concurrency: usize,
    /// How many deliveries the broker hands out unsettled.
    pub(crate) prefetch: u16,
    /// How long a delivery may wait for a slot before it is returned.
    pub(crate) longest_wait: Duration,
    /// How long after its delivery a job must be settled.
    pub(crate) longest_hold: Duration,
}

/// How many deliveries to fetch for `concurrency` slots.
///
/// Without long jobs: twice the slots. The surplus hides the round trip between the end of a job and the next delivery,
/// which is what limits short jobs (quorum queues, measured: 20 thousand jobs a second at a prefetch of 20, 118 thousand
/// at 200). It is no larger because a worker that crashes raises the broker's count for every job that it had fetched.
/// With long jobs there is no surplus: a job behind them would wait here while another worker could run it.
pub(crate) fn prefetch(concurrency: usize, longest_timeout: Duration) -> u16 {
    let wanted = if longest_timeout > LONG_JOB {
        concurrency
    } else {
        concurrency.saturating_mul(2)
    };
    u16::try_from(wanted).unwrap_or(MAX_PREFETCH).clamp(1, MAX_PREFETCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefetch_has_a_surplus_unless_a_job_is_long() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        for (concurrency, timeout, expected) in [
            (1, minutes(1), 2),
            (10, minutes(5), 20),
            (10, minutes(5) + Duration::from_millis(1), 10),
            (1_500, minutes(1), MAX_PREFETCH),
            (100_000, minutes(25), MAX_PREFETCH),
        ] {
            assert_eq!(
                prefetch(concurrency, timeout),
                expected,
                "{concurrency} slots, {timeout:?}"
            );
        }
    }

    #[test]
    fn the_margin_for_settling_is_a_minute_or_a_tenth() {
        let hold = |seconds| {
            let consumer_timeout = Duration::from_secs(seconds);
            Settings {
                consumer_timeout,
                ..Settings::default()
            }
            .longest_hold()
            .as_secs()
        };
        assert_eq!((hold(1_800), hold(60)), (1_740, 54));
    }
}
