//! Where the letters are, and what belongs to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::broker::{Declaration, Session};
use crate::connect::TopologyMode;
use crate::queue::Queue;
use crate::rabbit::Rabbit;
use crate::topology::{Topology, verified};

use super::error::InspectError;

/// A queue of dead letters.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) rabbit: Rabbit,
    pub(super) topology: Topology,
    /// The queue that the letters are in.
    pub(super) name: String,
    /// The work queue that they all belong to; `None`: each says for itself.
    pub(super) work: Option<Queue>,
    /// Definitions of further work queues, by name.
    pub(super) known: BTreeMap<String, Queue>,
}

impl Source {
    pub(super) fn of(rabbit: &Rabbit, queue: &Queue) -> Self {
        let topology = Topology::new(rabbit.options().name_prefix());
        Self {
            rabbit: rabbit.clone(),
            name: topology.dead_queue(queue),
            topology,
            work: Some(queue.clone()),
            known: BTreeMap::new(),
        }
    }

    pub(super) fn lost(rabbit: &Rabbit) -> Self {
        let topology = Topology::new(rabbit.options().name_prefix());
        Self {
            rabbit: rabbit.clone(),
            name: topology.lost_queue(),
            topology,
            work: None,
            known: BTreeMap::new(),
        }
    }

    /// A connection that nobody else uses: when it ends, in whichever way, all that was held on it goes back.
    pub(super) async fn connect(&self) -> Result<Arc<dyn Session>, InspectError> {
        let connecting = self.rabbit.session_of_its_own("inspect");
        connecting
            .await
            .map_err(|error| InspectError::connect(&self.name, error))
    }

    /// Makes sure that looking does no harm: each look counts as a failed delivery, so the queue needs a limit that is never reached.
    /// `false`: nobody here may know.
    pub(super) async fn check(&self, session: &dyn Session) -> Result<bool, InspectError> {
        match self.rabbit.options().topology_mode() {
            TopologyMode::Declare | TopologyMode::Verify => {
                let keeping = self.declaration();
                verified(session, keeping.as_slice())
                    .await
                    .map_err(|error| InspectError::topology(&self.name, error))
            }
            // What policies say cannot be seen.
            TopologyMode::Minimal | TopologyMode::None => Ok(false),
        }
    }

    /// What the queue was declared as.
    fn declaration(&self) -> Option<Declaration> {
        // The queue for lost letters is part of any queue's plan.
        let any = Queue::new("any");
        let plan = self.topology.declarations(self.work.as_ref().unwrap_or(&any));
        let is_it =
            |declaration: &&Declaration| matches!(declaration, Declaration::Queue(queue) if queue.name == self.name);
        plan.iter().find(is_it).cloned()
    }

    /// What is locked while the queue is inspected.
    pub(super) fn lock(&self) -> String {
        self.topology.inspection_lock(&self.name)
    }
}
