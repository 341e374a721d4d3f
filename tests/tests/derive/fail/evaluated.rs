//! What the compiler finds when it evaluates the constants.
use leveret::{Backoff, Job, Queue};
use serde::{Deserialize, Serialize};

const NONE: u32 = 0;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", max_attempts = NONE)]
struct NoAttempt;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", backoff = Backoff::fixed("10 seconds"))]
struct BadBackoff;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = Queue::new("amq.mail"))]
struct BadQueue;

fn main() {}
