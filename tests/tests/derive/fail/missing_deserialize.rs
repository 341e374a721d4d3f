use leveret::Job;
use serde::Serialize;

#[derive(Serialize, Job)]
#[job(queue = "mail")]
struct OneWay {
    user_id: u64,
}

fn main() {}
