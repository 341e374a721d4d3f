use leveret::Job;
#[allow(unused_imports)]
use serde::{Deserialize, Serialize};

#[derive(Job)]
#[job(queue = "mail")]
struct NeitherWay;

fn main() {}
