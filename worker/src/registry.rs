//! Which handler runs which job name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::attempt::pipeline::Pipeline;
use crate::handler::JobSpec;
use crate::terms::Terms;

/// The handlers of a worker by job name and alias. Built once, then only read.
#[derive(Default)]
pub(crate) struct Registry {
    by_name: HashMap<&'static str, Arc<Entry>>,
}

/// One handler with what holds for every attempt of its job type.
pub(crate) struct Entry {
    pub(crate) job: &'static str,
    pub(crate) terms: Arc<Terms>,
    pub(crate) timeout: Duration,
    pub(crate) pipeline: Arc<Pipeline>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.job).finish()
    }
}

impl Registry {
    /// Adds a handler; a problem in words for each of its names that is taken.
    pub(crate) fn add(&mut self, spec: &JobSpec, pipeline: Pipeline, terms: Terms, timeout: Duration) -> Vec<String> {
        let entry = Arc::new(Entry {
            job: spec.name,
            terms: Arc::new(terms),
            timeout,
            pipeline: Arc::new(pipeline),
        });
        let mut problems = Vec::new();
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            match self.by_name.get(name) {
                Some(other) => problems.push(taken(name, other.job, spec.name)),
                None => drop(self.by_name.insert(name, entry.clone())),
            }
        }
        problems
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Entry>> {
        self.by_name.get(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

fn taken(name: &str, first: &str, second: &str) -> String {
    if first == second {
        format!("the job `{first}` has two handlers: register one, or give one of the two job types another `name`")
    } else {
        format!("the jobs `{first}` and `{second}` both claim the name `{name}`: change one's `name` or `alias`")
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.by_name.keys().collect();
        names.sort_unstable();
        f.debug_set().entries(names).finish()
    }
}
