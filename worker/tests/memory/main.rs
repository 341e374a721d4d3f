//! The worker's guarantees on the in-memory broker, with paused time.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod blocking;
mod dead_letters;
mod draining;
mod endpoint;
mod expiring;
mod fetching;
mod handles;
mod interruptions;
mod kill_switch;
mod kit;
mod leases;
mod middleware;
mod outcomes;
mod pace;
mod pausing;
mod queues;
mod retrying;
mod schedules;
mod shutdown;
mod silence;
mod successors;
mod suspects;
mod unknown;
mod upkeep;
