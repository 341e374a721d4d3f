use leveret_worker::debug_handler;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

use leveret_worker::{Context, JobError, Outcome, State, Worker};

#[debug_handler]
async fn bare(_: SendWelcome) {}

#[debug_handler]
async fn full(_: SendWelcome, State(_): State<u8>, _: Context) -> Result<Outcome, JobError> {
    Ok(Outcome::Done)
}

#[debug_handler]
fn returning_a_future(_: SendWelcome, _: Context) -> impl Future<Output = ()> + Send {
    std::future::ready(())
}

#[debug_handler(blocking)]
fn blocking(_: SendWelcome, _: State<u8>) -> Result<(), std::io::Error> {
    Ok(())
}

#[debug_handler]
#[deprecated]
#[allow(dead_code)]
async fn retired(_: SendWelcome) {}

#[allow(dead_code)]
fn registered() {
    let _ = Worker::builder("memory://")
        .register(bare)
        .register(full)
        .register(returning_a_future)
        .register_blocking(blocking);
}

fn main() {}
