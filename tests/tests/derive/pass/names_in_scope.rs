//! The expansion needs nothing in scope and is not misled by what is there.
#![deny(warnings)]
#![allow(dead_code, unused_macros, non_camel_case_types, non_upper_case_globals)]

mod core {}
mod std {}
mod leveret {
    pub use ::leveret as renamed;
}
struct Option;
struct Some;
struct u32;
struct str;
struct Queue;
struct RetryPolicy;
struct Backoff;
const max_attempts: i8 = 0;
const pauses: i8 = 0;
const computed: i8 = 0;
macro_rules! assert {
    () => {};
}

const TRIES: ::core::primitive::u32 = 3;

#[derive(::serde::Serialize, ::serde::Deserialize, ::leveret::Job)]
#[job(queue = "q", max_attempts = TRIES, backoff = ::leveret::Backoff::none(), timeout = "1s", alias = "old")]
struct Shadowed;

#[derive(::serde::Serialize, ::serde::Deserialize, ::leveret::Job)]
#[job(crate = crate::leveret::renamed, queue = "q", max_attempts = 2)]
struct ByAnotherPath;

fn main() {
    assert_eq!(<Shadowed as ::leveret::Job>::RETRY.max_attempts(), 3);
    assert_eq!(<ByAnotherPath as ::leveret::Job>::NAME, "by_another_path");
}
