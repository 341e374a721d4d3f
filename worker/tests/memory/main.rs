//! The worker's guarantees on the in-memory broker, with paused time.

mod kit;
mod outcomes;
