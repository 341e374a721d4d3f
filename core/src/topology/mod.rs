//! What stands in the broker for each queue, as a plan ([`Topology`], pure) and as deed ([`ensure`]).

mod ensure;
mod names;
mod plan;

pub use ensure::{TopologyError, ensure};
pub use plan::Topology;
