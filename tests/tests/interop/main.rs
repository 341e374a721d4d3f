//! The open wire: programs in Python, with pika and with kombu, as real processes on a real broker.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod consuming;
mod delaying;
mod kit;
mod odd_messages;
mod producing;
mod schema;
