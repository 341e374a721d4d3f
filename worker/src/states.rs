//! What the application puts into a worker for its handlers, one value per type.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;

/// Values by type. Written while the worker is built, read by every job that asks for a state.
#[derive(Default)]
pub(crate) struct States {
    values: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl States {
    /// Puts a value in; `false` if there was one of its type.
    pub(crate) fn put<T: Send + Sync + 'static>(&mut self, value: T) -> bool {
        self.values.insert(TypeId::of::<T>(), Box::new(value)).is_none()
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// What of `requirements` is not there, by type name.
    pub(crate) fn lacking(&self, requirements: &Requirements) -> Vec<&'static str> {
        let lacks = |(id, name): &(TypeId, &'static str)| (!self.values.contains_key(id)).then_some(*name);
        requirements.states.iter().filter_map(lacks).collect()
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states", self.values.len())
    }
}

/// What a handler's extractors need of the worker. `build()` checks it, so that a missing state is found before the first
/// job and not by it.
#[derive(Debug, Default)]
pub struct Requirements {
    states: Vec<(TypeId, &'static str)>,
}

impl Requirements {
    /// Needs a state of type `T`, put in with `WorkerBuilder::state`.
    pub fn state<T: Send + Sync + 'static>(&mut self) {
        let requirement = (TypeId::of::<T>(), type_name::<T>());
        if !self.states.contains(&requirement) {
            self.states.push(requirement);
        }
    }
}
