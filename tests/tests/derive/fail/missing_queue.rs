use leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
struct WithoutAttribute;

#[derive(Serialize, Deserialize, Job)]
#[job(max_attempts = 3)]
struct WithoutQueue;

#[derive(Serialize, Deserialize, Job)]
#[job]
struct WithoutParentheses;

#[derive(Serialize, Deserialize, Job)]
#[job = "mail"]
struct WithEquals;

// The mistakes above are the only ones: the types count as jobs all the same.
fn is_job<J: Job>() {}

fn main() {
    is_job::<WithoutAttribute>();
    is_job::<WithoutQueue>();
}
