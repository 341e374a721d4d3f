use leveret_worker::debug_handler;
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

#[debug_handler]
fn not_async(_: SendWelcome) {}

#[debug_handler(blocking)]
async fn not_blocking(_: SendWelcome) {}

#[debug_handler(fast)]
async fn no_such_kind(_: SendWelcome) {}

#[debug_handler]
async fn no_job() {}

#[debug_handler]
async fn generic<T: Send>(_: SendWelcome, _: T) {}

struct Mailer;

impl Mailer {
    #[debug_handler]
    async fn of_a_type(&self, _: SendWelcome) {}
}

#[debug_handler]
struct Handler;

use leveret_worker::Context as C;

#[debug_handler]
async fn too_much(_: SendWelcome, _: C, _: C, _: C, _: C, _: C, _: C, _: C, _: C, _: C) {}

fn main() {}
