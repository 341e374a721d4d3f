use leveret_worker::debug_handler;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

#[debug_handler(blocking)]
fn send_welcome(_: SendWelcome, _: String) -> u64 {
    7
}

fn main() {}
