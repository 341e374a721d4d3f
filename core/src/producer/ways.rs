//! What a producer does with its jobs before they are handed over: [`Ways`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::middleware::EnqueueMiddleware;
use crate::queue::Queue;

/// The routes and middlewares of a handle and its clones. Copied when one is added, then only read.
#[derive(Clone, Default)]
pub(crate) struct Ways {
    /// Jobs by name that go to another queue than their type's.
    routes: BTreeMap<&'static str, Queue>,
    /// Outermost first.
    pub(super) middlewares: Vec<Arc<dyn EnqueueMiddleware>>,
}

impl Ways {
    pub(crate) fn with_middleware(&self, middleware: impl EnqueueMiddleware) -> Self {
        let mut ways = self.clone();
        ways.middlewares.push(Arc::new(middleware));
        ways
    }

    pub(crate) fn with_route(&self, job: &'static str, queue: Queue) -> Self {
        let mut ways = self.clone();
        ways.routes.insert(job, queue);
        ways
    }

    /// The queue that a job is routed to.
    pub(super) fn route(&self, job: &str) -> Option<&Queue> {
        self.routes.get(job)
    }
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways")
            .field("routes", &self.routes)
            .field("middlewares", &self.middlewares.len())
            .finish()
    }
}
