use leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct Pointing {
    #[serde(skip, default = "std::ptr::null")]
    value: *const u8,
}

fn main() {}
