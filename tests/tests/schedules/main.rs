//! Recurring jobs on a real RabbitMQ: three replicas, one of which leads; counts of ticks are exact.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod failover;
mod kit;
mod processes;
