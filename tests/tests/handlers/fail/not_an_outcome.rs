use leveret_worker::Worker;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

async fn send_welcome(_: SendWelcome) -> u64 {
    7
}

fn main() {
    let _ = Worker::builder("memory://").register(send_welcome);
}
