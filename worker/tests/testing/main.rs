//! What `leveret_worker::testing` promises to the tests of applications.

#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used)]

mod idle;
mod running;

use leveret::{Backoff, Job, Queue};
use serde::{Deserialize, Serialize};

const ORDERS: Queue = Queue::new("orders");
const MAIL: Queue = Queue::new("mail");

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = ORDERS, max_attempts = 3, backoff = Backoff::exponential("2s", "1m"), timeout = "30s")]
struct Order {
    number: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = MAIL, max_attempts = 3, timeout = "30s")]
struct Mail {
    order: u64,
}
