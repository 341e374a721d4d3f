//! Guides: how things are done with Leveret, each as a page with examples that are run with the tests.
//!
//! - [`working`]: handlers, middleware, and the worker around them
//! - [`failing`]: what happens to a job that fails, and how to say what shall happen
//! - [`scheduling`]: jobs that run later, and jobs that run again and again
#![cfg_attr(
    feature = "testing",
    doc = "- [`testing`]: the tests of your services, handlers and workers"
)]

#[doc = include_str!("working.md")]
pub mod working {}

#[doc = include_str!("failing.md")]
pub mod failing {}

#[doc = include_str!("scheduling.md")]
pub mod scheduling {}

#[cfg(feature = "testing")]
#[doc = include_str!("testing.md")]
pub mod testing {}
