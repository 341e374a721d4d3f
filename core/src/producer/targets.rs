//! Where jobs of each queue go, worked out once per queue rather than once per job.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use crate::connect::ConnectOptions;
use crate::ledger::Target;
use crate::queue::Queue;
use crate::topology::{Topology, announce_delay_policies, announce_policies};

/// Above this many queues all are forgotten and worked out again: names made at run time may have no end.
const MAX_QUEUES: usize = 4_096;

/// The targets of the queues used so far.
#[derive(Debug)]
pub(crate) struct Targets {
    options: ConnectOptions,
    topology: Topology,
    work: Known,
    delayed: Known,
}

impl Targets {
    pub(crate) fn new(options: ConnectOptions) -> Self {
        Self {
            topology: Topology::new(options.name_prefix()),
            options,
            work: Known::default(),
            delayed: Known::default(),
        }
    }

    /// The target of a queue.
    pub(crate) fn of(&self, queue: &Queue) -> Target {
        let (target, is_new) = self.work.of(queue, || self.topology.work(queue));
        if is_new {
            announce_policies(&self.options, queue);
        }
        target
    }

    /// The target of a queue's delayed jobs, each of which says when it is due: the wait in it is none of theirs.
    pub(crate) fn delayed(&self, queue: &Queue) -> Target {
        let any_wait = Duration::from_millis(1);
        let (target, is_new) = self.delayed.of(queue, || self.topology.delayed(queue, any_wait));
        if is_new {
            announce_policies(&self.options, queue);
            announce_delay_policies(&self.options);
        }
        target
    }
}

#[derive(Debug, Default)]
struct Known(RwLock<HashMap<Queue, Target>>);

impl Known {
    /// The target, and whether it was not known before.
    fn of(&self, queue: &Queue, make: impl FnOnce() -> Target) -> (Target, bool) {
        let Self(by_queue) = self;
        // A panic while the lock was held cannot have left half an entry.
        let known = by_queue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(queue)
            .cloned();
        if let Some(target) = known {
            return (target, false);
        }
        let target = make();
        let mut by_queue = by_queue.write().unwrap_or_else(PoisonError::into_inner);
        if by_queue.len() >= MAX_QUEUES {
            by_queue.clear();
        }
        let is_new = by_queue.insert(queue.clone(), target.clone()).is_none();
        (target, is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_worked_out_once_and_any_number_of_queues_stays_bounded() {
        let targets = Targets::new(ConnectOptions::default());
        let mail = Queue::new("mail");
        let first = targets.of(&mail);
        assert!(std::sync::Arc::ptr_eq(
            &first.declarations,
            &targets.of(&mail).declarations
        ));
        assert_eq!(first, Topology::new("leveret").work(&mail));
        for number in 0..2 * MAX_QUEUES {
            targets.of(&Queue::named(format!("tenant-{number}")).expect("short"));
        }
        assert!(targets.work.0.read().expect("unpoisoned").len() <= MAX_QUEUES);
    }

    #[test]
    fn the_delays_of_a_queue_are_worked_out_once_as_well() {
        let targets = Targets::new(ConnectOptions::default());
        let mail = Queue::new("mail");
        let first = targets.delayed(&mail).declarations;
        assert!(std::sync::Arc::ptr_eq(&first, &targets.delayed(&mail).declarations));
        assert!(first.len() > targets.of(&mail).declarations.len());
    }

    #[test]
    fn two_definitions_of_one_name_are_two_targets() {
        let targets = Targets::new(ConnectOptions::default());
        let (a, b) = (Queue::new("mail"), Queue::new("mail").delivery_limit(7));
        assert_ne!(targets.of(&a).declarations, targets.of(&b).declarations);
    }
}
