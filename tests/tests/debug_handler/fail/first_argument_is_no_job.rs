use leveret_worker::debug_handler;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

struct Letter;

#[debug_handler]
async fn send_letter(_: Letter) {}

#[debug_handler]
async fn send_by_reference(_: &SendWelcome) {}

fn main() {}
