//! Guides: how things are done with Leveret, each as a page with examples that are run with the tests.

#[doc = include_str!("testing.md")]
pub mod testing {}
