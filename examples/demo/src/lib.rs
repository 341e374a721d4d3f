//! The demo's jobs and their handlers. Services and worker share this crate: a service needs the job types, the worker both.
//!
//! # Layout
//! - [`jobs`]: what there is to do, as plain data, with queue, attempts and time limit.
//! - [`handlers`]: what is done about it.
//! - `bin/demo-api.rs`: an HTTP service that enqueues.
//! - `bin/demo-worker.rs`: the worker.

pub mod handlers;
pub mod jobs;
