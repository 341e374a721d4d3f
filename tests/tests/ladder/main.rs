//! Jobs that wait in the delay ladder: each arrives once, none early, whatever happens meanwhile.
//!
//! # Layout
//! - `kit`: a queue and a ladder of each test's own, and a book of what arrived when
//! - `memory`: what is exact in paused time
//! - `waiting`: a real broker without faults
//! - `faults`: restarts, killed nodes, deleted queues
//! - `modes`: users that may not declare, and operators that set policies

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod kit;
mod memory;
mod modes;
mod waiting;
