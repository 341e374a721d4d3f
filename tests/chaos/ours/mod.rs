//! Faults of our own processes, and of their neighbours.
//!
//! # Layout
//! - `ends`: a producer or workers that end, or begin, all at once
//! - `handlers`: handlers that block, panic, and end their process
//! - `machine`: clocks that jump, and no more file descriptors
//! - `neighbour`: messages of others that are no jobs

mod ends;
mod handlers;
mod machine;
mod neighbour;

use std::time::Duration;

use crate::scenario::Scenario;

const GROUP: &str = "ours";
/// A process that is started anew connects, and works.
const SOON: Duration = Duration::from_secs(10);

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        ends::SCENARIOS,
        handlers::SCENARIOS,
        machine::SCENARIOS,
        neighbour::SCENARIOS,
    ]
    .concat()
}
