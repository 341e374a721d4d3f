use std::rc::Rc;

use leveret_worker::Worker;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

async fn send_welcome(_: SendWelcome) {
    let shared = Rc::new(7);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {
    let _ = Worker::builder("memory://").register(send_welcome);
}
