//! Where jobs of each queue go, worked out once per queue rather than once per job.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::connect::ConnectOptions;
use crate::ledger::Target;
use crate::queue::Queue;
use crate::topology::{Topology, announce_policies};

/// Above this many queues all are forgotten and worked out again: names made at run time may have no end.
const MAX_QUEUES: usize = 4_096;

/// The targets of the queues used so far.
#[derive(Debug)]
pub(crate) struct Targets {
    options: ConnectOptions,
    topology: Topology,
    by_queue: RwLock<HashMap<Queue, Target>>,
}

impl Targets {
    pub(crate) fn new(options: ConnectOptions) -> Self {
        Self {
            topology: Topology::new(options.name_prefix()),
            options,
            by_queue: RwLock::default(),
        }
    }

    /// The target of a queue.
    pub(crate) fn of(&self, queue: &Queue) -> Target {
        // A panic while the lock was held cannot have left half an entry.
        let known = self
            .by_queue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(queue)
            .cloned();
        if let Some(target) = known {
            return target;
        }
        let target = self.topology.work(queue);
        let mut by_queue = self.by_queue.write().unwrap_or_else(PoisonError::into_inner);
        if by_queue.len() >= MAX_QUEUES {
            by_queue.clear();
        }
        let is_new = by_queue.insert(queue.clone(), target.clone()).is_none();
        drop(by_queue);
        if is_new {
            announce_policies(&self.options, queue);
        }
        target
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
        assert!(targets.by_queue.read().expect("unpoisoned").len() <= MAX_QUEUES);
    }

    #[test]
    fn two_definitions_of_one_name_are_two_targets() {
        let targets = Targets::new(ConnectOptions::default());
        let (a, b) = (Queue::new("mail"), Queue::new("mail").delivery_limit(7));
        assert_ne!(targets.of(&a).declarations, targets.of(&b).declarations);
    }
}
