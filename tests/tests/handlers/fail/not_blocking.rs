use leveret_worker::Worker;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

async fn send_welcome(_: SendWelcome) {}

fn main() {
    let _ = Worker::builder("memory://").register_blocking(send_welcome);
}
