//! What only the compiler can check: its errors point at what the user wrote.
use leveret::{Backoff, Job, Queue};
use serde::{Deserialize, Serialize};

const NAME: &str = "mail";
const ONE: i64 = 1;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = NAME, max_attempts = ONE, backoff = Queue::new("mail"))]
struct WrongTypes;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = MAIL, backoff = Backoff::linear("1s"))]
struct Unresolved;

fn main() {}
