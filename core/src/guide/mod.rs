//! Guides: how things are done with Leveret, each as a page whose examples are run with the tests. How to work and how to test
//! is told by the guides of `leveret-worker`.

#[doc = include_str!("producing.md")]
pub mod producing {}

#[doc = include_str!("operating.md")]
pub mod operating {}
