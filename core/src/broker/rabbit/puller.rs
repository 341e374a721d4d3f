//! A channel that takes messages of one queue with `basic.get`.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use lapin::Channel;
use lapin::options::{BasicGetOptions, BasicQosOptions};
use lapin::types::ShortString;

use super::acks::Receipt;
use super::error::{short, within};
use super::line::Line;
use super::receipts::{self, APPLIED, TAKEN_AT_ONCE};
use crate::broker::{BrokerError, Delivery, Lease, Puller, Settlement};

pub(super) struct RabbitPuller {
    id: u64,
    channel: Channel,
    queue: ShortString,
    collected: Vec<Receipt>,
    /// The receipts sent since the queue was last asked for a message. To answer, it has to have applied what it was told before.
    told: u32,
    line: Arc<Line>,
}

impl RabbitPuller {
    pub(super) async fn open(line: Arc<Line>, queue: &str) -> Result<Self, BrokerError> {
        let queue = short(queue)?;
        Ok(Self {
            id: receipts::next_id(),
            channel: line.open_channel().await?,
            queue,
            collected: Vec::new(),
            told: 0,
            line,
        })
    }

    /// Sends what was collected. `false`: there was nothing.
    fn send(&mut self) -> bool {
        let collected = std::mem::take(&mut self.collected);
        for receipt in &collected {
            receipts::tell(&self.channel, *receipt);
            self.told = self.told.saturating_add(1);
        }
        !collected.is_empty()
    }
}

#[async_trait]
impl Puller for RabbitPuller {
    async fn pull(&mut self) -> Result<Option<Delivery>, BrokerError> {
        self.send();
        let getting = self
            .channel
            .basic_get(self.queue.clone(), BasicGetOptions { no_ack: false });
        let got = within(self.line.deadlines.rpc, "asking a queue for a message", getting).await?;
        self.told = 0;
        Ok(got.map(|message| receipts::received(self.id, message.delivery)))
    }

    fn settle(&mut self, lease: Lease, settlement: Settlement) -> Result<(), Lease> {
        let Some(tag) = lease.tag_at(self.id) else {
            return Err(lease);
        };
        self.collected.push(Receipt {
            tag,
            multiple: false,
            settlement,
        });
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BrokerError> {
        if !self.send() {
            return Ok(());
        }
        // Acks are never answered. A prefetch means nothing to `basic.get`, but setting it is answered, after what was sent before it.
        let asking = self.channel.basic_qos(1, BasicQosOptions { global: false });
        within(self.line.deadlines.rpc, "waiting for settlements", asking).await
    }

    async fn close(mut self: Box<Self>) {
        let deadline = self.line.deadlines.close;
        let in_order = async {
            let begun = Instant::now();
            let taken = self.flush().await;
            if taken.is_ok() && self.told >= TAKEN_AT_ONCE {
                tokio::time::sleep(APPLIED.max(begun.elapsed() * 4)).await;
            }
            self.line.close_channel(&self.channel).await;
        };
        let _ = tokio::time::timeout(deadline, in_order).await;
    }
}

impl fmt::Debug for RabbitPuller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitPuller")
            .field("id", &self.id)
            .field("channel", &self.channel.id())
            .field("queue", &self.queue.as_str())
            .finish_non_exhaustive()
    }
}
