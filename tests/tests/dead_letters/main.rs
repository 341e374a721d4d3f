//! Dead letters as a work list, on a real broker: looking moves nothing, however it ends, and sending back loses nothing.
//!
//! # Layout
//! - `kit`: a queue of each test's own with letters in it, and inspectors that are processes
//! - `looking`: depth and order after scans and kills
//! - `redriving`: sent back, with a kill between confirm and ack
//! - `deaths`: each way in which a letter comes to be one

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod deaths;
mod kit;
mod looking;
mod redriving;
