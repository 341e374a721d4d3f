use leveret_worker::debug_handler;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

#[debug_handler]
async fn send_welcome(_: SendWelcome) {
    let shared = std::rc::Rc::new(7);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {}
