//! What can be set on a worker, with its defaults and the limits that follow from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use leveret::Queue;
use leveret::topology::Topology;

use crate::kill_switch::KillSwitch;

/// How many jobs of a queue run at once unless set.
pub const DEFAULT_CONCURRENCY: usize = 10;

/// The largest prefetch that a quorum queue honours, and so the largest concurrency of one queue in one worker.
pub const MAX_PREFETCH: u16 = 2_000;

/// How many deliveries are fetched for jobs that have turned out fast. On a quorum queue 200 in hand reach two thirds of what 1,000 do, and 20 a sixth.
pub(crate) const FAST_PREFETCH: u16 = 200;

/// A job that may run longer than this is not fetched before there is a slot for it, unless such jobs have turned out fast.
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
    /// What becomes of jobs that no handler is registered for.
    pub(crate) unknown: Unknown,
    /// How many threads the blocking handlers have, if set.
    pub(crate) blocking_threads: Option<usize>,
    /// Where probes are answered, if set: the first that is free.
    pub(crate) health_endpoint: Option<Vec<SocketAddr>>,
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
            unknown: Unknown::DeadLetter,
            blocking_threads: None,
            health_endpoint: None,
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

/// What becomes of a job that no handler of the worker is registered for.
///
/// In a rolling deploy, services that are new already enqueue jobs that workers which are still old do not know. A dead letter is right where that
/// cannot be; where it can, `Delay` gives the new workers time to come.
///
/// ```
/// use std::time::Duration;
/// use leveret::Job;
/// use leveret_worker::{Unknown, Worker};
/// # #[derive(serde::Serialize, serde::Deserialize, Job)]
/// # #[job(queue = "mail", timeout = "30s")]
/// # struct SendWelcome { user_id: u64 }
/// # async fn send_welcome(_: SendWelcome) {}
///
/// let worker = Worker::builder("memory://")
///     .register(send_welcome)
///     .unknown_jobs(Unknown::Delay { wait: Duration::from_secs(30), times: 20 }) // ten minutes for a deploy
///     .build()?;
/// # Ok::<(), leveret_worker::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Unknown {
    /// It becomes a dead letter, with the reason `unknown_type`. The default.
    #[default]
    DeadLetter,
    /// It comes back after `wait`, to whichever worker is there then, and costs no attempt. After so many `times`, of all workers together, it becomes a
    /// dead letter. A message without a `type` does at once: no worker will ever know it.
    Delay {
        /// How long it waits, in the delay ladder.
        wait: Duration,
        /// How often. It is counted in a header of the message.
        times: u32,
    },
}

/// What was set for one queue.
#[derive(Debug, Clone)]
pub(crate) struct QueueSetting {
    pub(crate) queue: Queue,
    pub(crate) concurrency: Option<usize>,
    pub(crate) prefetch: Option<u16>,
    pub(crate) kill_switch: Option<KillSwitch>,
}

impl QueueSetting {
    /// Nothing set yet.
    pub(crate) fn of(queue: &Queue) -> Self {
        Self {
            queue: queue.clone(),
            concurrency: None,
            prefetch: None,
            kill_switch: None,
        }
    }
}

/// What holds for one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueuePlan {
    pub(crate) queue: Queue,
    /// How many jobs run at once.
    pub(crate) concurrency: usize,
    /// How many deliveries the broker hands out unsettled.
    pub(crate) prefetch: u16,
    /// The same once its jobs have turned out fast; never less.
    pub(crate) fast_prefetch: u16,
    /// How long a delivery may wait for a slot before it is returned.
    pub(crate) longest_wait: Duration,
    /// How long after its delivery a job must be settled.
    pub(crate) longest_hold: Duration,
    /// What stops it while most attempts fail.
    pub(crate) kill_switch: Option<KillSwitch>,
    /// What becomes of jobs that no handler is registered for.
    pub(crate) unknown: Unknown,
}

impl QueuePlan {
    /// The queue of this queue's suspects.
    pub(crate) fn suspects(&self) -> String {
        // A queue's own names have no prefix.
        Topology::new("").suspect_queue(&self.queue)
    }

    /// How suspects are run: one by one.
    pub(crate) fn of_suspects(&self) -> Self {
        Self {
            concurrency: 1,
            prefetch: 1,
            fast_prefetch: 1,
            kill_switch: None,
            ..self.clone()
        }
    }

    /// All queues that are consumed for it.
    pub(crate) fn sources(&self) -> [String; 2] {
        [self.queue.name().to_owned(), self.suspects()]
    }
}

/// How many deliveries to fetch for `concurrency` slots, as long as nothing is known of how long the jobs take.
///
/// Without long jobs: twice the slots. The surplus hides the round trip between the end of a job and the next delivery,
/// which is what limits short jobs (quorum queues, measured: 20 thousand jobs a second at a prefetch of 20, 118 thousand
/// at 200). With long jobs there is no surplus: a job behind them would wait here while another worker could run it.
///
/// A worker fetches [`FAST_PREFETCH`] once its jobs have turned out fast (`dispatcher/pace.rs`), and not from the start: one that crashes raises the
/// broker's count for every job that it had fetched, and two crashes make a suspect. A worker that has just begun, as one does that crashes
/// again and again, has few jobs in hand; one that is fast has other jobs in hand at each crash.
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
