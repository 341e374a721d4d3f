//! For the tests of applications: one handler on one job ([`run`]), and a whole worker until nothing is left to do
//! ([`Worker::run_until_idle`](crate::Worker::run_until_idle)). What services enqueue is seen with [`leveret::testing`];
//! the [guide](crate::guide::testing) shows five tests.
//!
//! # Layout
//! `run` takes what a test sets, `stage` makes an attempt of it and runs that, `ran` tells what came of it, `idle` knows when a worker has nothing left.

mod idle;
mod ran;
mod run;
mod stage;

pub use ran::{Ran, Verdict};
pub use run::{Run, RunFuture, run, run_blocking, run_for};
