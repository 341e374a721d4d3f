use leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", max_attempts = 0, timeout = "0s", expires_in = "0h")]
struct Zero;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", max_attempts = "8", backoff = "10s", timeout = 30)]
struct WrongLiterals;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", max_attempts = -1, timeout = "30 s", expires_in = 30)]
struct Negative;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", max_attempts = 4294967296, timeout = "1h30m", expires_in = "tomorrow")]
struct TooMany;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", max_attempts = 3u8, timeout = "30")]
struct WrongSuffix;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", max_attempts = 1.5, crate = "leveret", timeout = std::time::Duration::ZERO)]
struct NotWhole;

fn main() {}
