//! What stands in the broker for each queue, as a plan ([`Topology`], pure) and as deed ([`ensure`]).

mod announce;
mod ensure;
pub(crate) mod ladder;
mod mismatch;
mod names;
mod plan;
mod policy;

pub use announce::{announce_delay_policies, announce_policies, announce_schedule_policies};
pub use ensure::{TopologyError, ensure};
pub(crate) use ensure::{look, verified};
pub(crate) use ladder::Route;
pub use plan::Topology;
pub use policy::Policy;
