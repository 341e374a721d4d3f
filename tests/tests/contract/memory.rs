//! The in-memory broker as a fixture.

use std::sync::Arc;

use async_trait::async_trait;
use leveret::Message;
use leveret::broker::memory::MemoryBroker;
use leveret::broker::{Broker, Destination};
use leveret_tests::node::Version;

use super::{Depth, Fixture};

pub(crate) struct MemoryFixture {
    broker: MemoryBroker,
}

impl MemoryFixture {
    pub(crate) fn new() -> Self {
        Self {
            broker: MemoryBroker::new(),
        }
    }
}

#[async_trait]
impl Fixture for MemoryFixture {
    fn broker(&self) -> Arc<dyn Broker> {
        Arc::new(self.broker.clone())
    }

    async fn version(&self) -> Version {
        Version::V3_10
    }

    async fn depth(&self, queue: &str) -> Option<Depth> {
        let depth = self.broker.depth(queue)?;
        let total = depth.ready + depth.unacked + depth.undelivered;
        Some(Depth {
            ready: depth.ready as u64,
            unacked: depth.unacked as u64,
            total: total as u64,
        })
    }

    async fn publish_raw(&self, destination: &Destination, message: &Message) {
        self.broker.publish_raw(destination, message).unwrap();
    }

    async fn delete_queue(&self, queue: &str) {
        assert!(self.broker.delete_queue(queue), "no queue {queue}");
    }

    async fn cut(&self, connection: &str) {
        self.broker.drop_connections_named(connection);
    }

    async fn close_channels_of(&self, queue: &str) {
        self.broker.kill_channels_of(queue);
    }

    async fn set_alarm(&self, raised: bool) {
        match raised {
            true => self.broker.block("low on memory"),
            false => self.broker.unblock(),
        }
    }
}
