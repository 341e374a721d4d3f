//! The test kit keeps its own promises: what a suite builds on it is only as good as this.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "kit/cluster.rs"]
mod cluster;
#[path = "kit/node.rs"]
mod node;
#[path = "kit/proxy.rs"]
mod proxy;
