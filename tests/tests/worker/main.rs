//! The worker's guarantees, on a real RabbitMQ.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod blocking;
mod deploys;
mod draining;
mod endings;
mod fetching;
mod handlers;
mod health;
mod kill_switch;
mod kit;
mod losses;
mod middleware;
mod pace;
mod restarts;
mod retrying;
mod sharing;
mod shutdown;
mod threads;
