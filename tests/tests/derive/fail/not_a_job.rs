//! A type without the derive, where a job is wanted.
use leveret::Envelope;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Plain;

fn main() {
    let _ = Envelope::new(Plain);
}
