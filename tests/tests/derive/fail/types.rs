use leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct Typed<T> {
    value: T,
}

#[derive(Serialize, Job)]
#[job(queue = "mail")]
struct Borrowed<'a> {
    value: &'a str,
}

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
enum Sized<const N: usize> {
    One,
}

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct Bounded
where
    String: Clone;

#[derive(Job)]
#[job(queue = "mail")]
union Overlaid {
    number: u32,
    bytes: [u8; 4],
}

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct InnerField {
    #[job(name = "x")]
    value: u32,
}

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
enum InnerVariant {
    #[job(name = "x")]
    One,
    Two(#[job(name = "y")] u32),
}

fn main() {}
