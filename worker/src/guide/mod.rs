//! Guides: how things are done with Leveret, each as a page with examples that are run with the tests.
#![cfg_attr(feature = "testing", doc = "\n- [`testing`]: the tests of your services, handlers and workers")]

#[cfg(feature = "testing")]
#[doc = include_str!("testing.md")]
pub mod testing {}
