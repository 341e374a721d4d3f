use leveret_worker::debug_handler;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

#[debug_handler]
async fn send_welcome(_: SendWelcome) -> u64 {
    7
}

#[debug_handler]
async fn send_with_optional_error(_: SendWelcome) -> Result<(), Option<String>> {
    Ok(())
}

fn main() {}
