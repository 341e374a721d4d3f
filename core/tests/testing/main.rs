//! What `leveret::testing` promises to the tests of applications.

#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used)]

mod closing;
mod expecting;
mod faults;
mod looking;

use leveret::{Job, Queue};
use serde::{Deserialize, Serialize};

const MAIL: Queue = Queue::new("mail");

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = MAIL, alias = "old_note")]
struct Note {
    number: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = "bills")]
struct Bill {
    cents: u64,
}
