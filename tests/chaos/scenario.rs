//! What a scenario is, and all of them.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::stage::Stage;
use crate::way::Hurdle;

/// What happens on the stage while jobs flow. It returns when the cause has ended; what follows is the same for all.
pub(crate) type Act = for<'a> fn(&'a mut Stage) -> BoxFuture<'a, ()>;

/// One fault, by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    /// In a line.
    pub(crate) what: &'static str,
    pub(crate) setup: Setup,
    pub(crate) load: Load,
    /// How soon after the end of the cause jobs are confirmed and done again, at the latest.
    pub(crate) within: Duration,
    pub(crate) act: Act,
}

/// What there is before anything goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setup {
    /// A node of its own, with these lines in its configuration.
    Node(&'static [&'static str]),
    /// The same, in a virtual host of this name.
    Vhost(&'static str),
    /// The same with a network in front of it.
    Proxied,
    /// The same with something in the way.
    Behind(Hurdle),
    /// Three nodes that are one broker.
    Cluster,
}

/// The jobs that flow meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) jobs: u64,
    /// A second.
    pub(crate) rate: u32,
    pub(crate) workers: usize,
    pub(crate) concurrency: usize,
    pub(crate) work_ms: &'static str,
    /// The share of attempts that fail.
    pub(crate) fail_rate: &'static str,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
}

/// What the programs are told beyond that.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    pub(crate) producer: &'static [&'static str],
    pub(crate) worker: &'static [&'static str],
}

/// Which clocks of the processes a scenario can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// None: they have the machine's.
    Own,
    /// The one that tells the date.
    Wall,
    /// That one and the one that measures time.
    Both,
}

/// Half a minute of jobs, of which some fail, for two workers.
pub(crate) const USUAL: Load = Load {
    jobs: 6_000,
    rate: 200,
    workers: 2,
    concurrency: 16,
    work_ms: "0-20",
    fail_rate: "0.05",
    options: Options {
        producer: &[],
        worker: &[],
    },
    clock: Clock::Own,
};

impl Load {
    /// The same for so many seconds.
    pub(crate) const fn seconds(self, seconds: u32) -> Load {
        Load {
            jobs: self.rate as u64 * seconds as u64,
            ..self
        }
    }

    /// The same with these options for the workers.
    pub(crate) const fn with(self, worker: &'static [&'static str]) -> Load {
        let options = Options { worker, ..self.options };
        Load { options, ..self }
    }

    /// The same with clocks that can be set.
    pub(crate) const fn on(self, clock: Clock) -> Load {
        Load { clock, ..self }
    }
}

/// What is played at every change: ten minutes of two at a time. One of each kind, and what once found something; `--all` plays the rest.
pub(crate) const AT_EVERY_CHANGE: &[&str] = &[
    "broker-stop-and-start",
    "broker-killed",
    "connections-closed",
    "user-shut-out",
    "queue-deleted",
    "network-rst",
    "network-cut-mid-frame",
    "network-black-hole",
    "network-stall-short",
    "cluster-leader-killed",
    "producer-killed",
    "worker-killed",
    "handler-panics",
    "handler-exits",
    "bad-neighbour",
];

/// Every scenario, in the order of the groups.
pub(crate) fn all() -> Vec<Scenario> {
    [
        crate::broker::SCENARIOS,
        crate::network::SCENARIOS,
        crate::cluster::SCENARIOS,
        &crate::ours::scenarios(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_different_and_what_is_always_played_exists() {
        let names: BTreeSet<&str> = all().iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all().len());
        assert!(AT_EVERY_CHANGE.iter().all(|name| names.contains(name)));
    }
}
