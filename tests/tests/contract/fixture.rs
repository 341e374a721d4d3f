//! A broker to test, and the other side of it: what an operator or a foreign program does.

#[path = "memory.rs"]
mod memory;
#[path = "rabbit.rs"]
mod rabbit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use leveret::Message;
use leveret::broker::{Broker, Destination};
use leveret_tests::node::Version;

pub(crate) use memory::MemoryFixture;
pub(crate) use rabbit::RabbitFixture;

/// How many messages of a queue are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Depth {
    pub(crate) ready: u64,
    pub(crate) unacked: u64,
    /// Dead letters that have not arrived are in this number alone.
    pub(crate) total: u64,
}

#[async_trait]
pub(crate) trait Fixture: Send + Sync {
    fn broker(&self) -> Arc<dyn Broker>;

    /// Where RabbitMQ's versions differ, a promise says for which it holds.
    async fn version(&self) -> Version;

    /// `None`: there is no such queue. RabbitMQ's numbers are a moment old.
    async fn depth(&self, queue: &str) -> Option<Depth>;

    async fn publish_raw(&self, destination: &Destination, message: &Message);

    async fn delete_queue(&self, queue: &str);

    /// Cuts the connections that were opened under this name.
    async fn cut(&self, connection: &str);

    /// Closes the channels that consume this queue and hold something of it. Needs a broker of its own.
    async fn close_channels_of(&self, queue: &str);

    /// Raises an alarm, or ends it. Needs a broker of its own.
    async fn set_alarm(&self, raised: bool);
}

/// A name that no other test of this run uses, for a queue, an exchange or a connection.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
