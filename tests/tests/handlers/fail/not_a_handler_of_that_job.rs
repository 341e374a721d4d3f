use leveret_worker::Worker;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

struct Mailer;

fn main() {
    let _ = Worker::builder("memory://").register_for::<SendWelcome>(Mailer);
    let _ = Worker::builder("memory://").register(Mailer);
}
