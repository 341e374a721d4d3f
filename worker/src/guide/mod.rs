//! Guides: how things are done with Leveret, each as a page with examples that are run with the tests.
//!
//! - [`working`]: handlers, middleware, and the worker around them
#![cfg_attr(feature = "testing", doc = "- [`testing`]: the tests of your services, handlers and workers")]

#[doc = include_str!("working.md")]
pub mod working {}

#[cfg(feature = "testing")]
#[doc = include_str!("testing.md")]
pub mod testing {}
