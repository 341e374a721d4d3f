use leveret_worker::debug_handler;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

#[debug_handler]
async fn send_welcome(_: SendWelcome, _: leveret_worker::Context, _: String) {}

fn main() {}
