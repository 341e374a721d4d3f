//! The test kit: what the suites under `tests/tests` need besides the engine.
//!
//! # Layout
//!
//! - [`node`]: a private RabbitMQ node that can be stopped, killed, frozen and restarted.
//! - [`baseline`]: the version before this one.
//! - [`cluster`]: several nodes that are one broker.
//! - [`proxy`]: a network in front of it that can be cut, stalled and silenced.
//! - [`loss`]: what became of every job: lost, done, done twice.
//! - [`signal`]: waiting for what a test needs to have happened; never a fixed sleep.
//! - [`soak`]: what the programs for long runs have in common.
//! - [`taker`]: what really lies in a queue.
//! - [`poisoned`]: the job of a worker process that it aborts.
//! - [`ports`]: port numbers that stay ours while nothing listens on them.
//! - [`installation`]: where RabbitMQ is on this machine.
//! - [`python`]: where a Python is that speaks AMQP.
//! - [`logs`]: tracing output for a test that fails, and that no line of it shows a password.
//! - [`secret`]: the password of the nodes.

// Test code: a broken invariant here has to end the test at once, with the place and the reason.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod baseline;
pub mod cluster;
pub mod installation;
pub mod logs;
pub mod loss;
pub mod node;
pub mod poisoned;
pub mod ports;
pub mod proxy;
pub mod python;
pub mod secret;
pub mod signal;
pub mod soak;
pub mod taker;

pub use cluster::Cluster;
pub use loss::LossBook;
pub use node::{Node, QueueDepth, shared};
pub use proxy::Proxy;
