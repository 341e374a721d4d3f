//! Channels that take messages of one queue with `basic.get`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lapin::Channel;
use lapin::options::{BasicGetOptions, BasicQosOptions};
use lapin::types::ShortString;

use super::acks::Receipt;
use super::error::{short, within};
use super::line::Line;
use super::receipts::{self, TAKEN_AT_ONCE};
use crate::broker::{BrokerError, Delivery, Lease, Puller, Settlement};

/// Takes from a channel only as long as that can pass on the receipts of all it holds at once; then from another. So whichever
/// of them is closed, and whenever, the queue gets to know everything it was told.
pub(super) struct RabbitPuller {
    queue: ShortString,
    /// Never empty.
    channels: Vec<Getter>,
    line: Arc<Line>,
}

/// One channel.
struct Getter {
    id: u64,
    channel: Channel,
    /// The deliveries that are not settled.
    held: u32,
    /// The settlements that are not sent.
    collected: Vec<Receipt>,
}

impl RabbitPuller {
    pub(super) async fn open(line: Arc<Line>, queue: &str) -> Result<Self, BrokerError> {
        let queue = short(queue)?;
        let channels = vec![Getter::open(&line).await?];
        Ok(Self { queue, channels, line })
    }

    /// The channel to take the next message from.
    async fn roomy(&mut self) -> usize {
        let roomy = self.channels.iter().position(Getter::has_room);
        if let Some(roomy) = roomy {
            return roomy;
        }
        // Where the broker allows no further channel a job that may come twice is better than none.
        let Ok(another) = Getter::open(&self.line).await else {
            return 0;
        };
        self.channels.push(another);
        self.channels.len() - 1
    }
}

impl Getter {
    async fn open(line: &Line) -> Result<Self, BrokerError> {
        Ok(Self {
            id: receipts::next_id(),
            channel: line.open_channel().await?,
            held: 0,
            collected: Vec::new(),
        })
    }

    /// Whether it may take another message. To answer, the queue has to have applied what it was told before; so the receipts that
    /// can be on their way at once are those of what is held then.
    const fn has_room(&self) -> bool {
        self.held < TAKEN_AT_ONCE - 1
    }

    /// Sends what was collected. `false`: there was nothing.
    fn send(&mut self) -> bool {
        let collected = std::mem::take(&mut self.collected);
        for receipt in &collected {
            receipts::tell(&self.channel, *receipt);
        }
        !collected.is_empty()
    }

    async fn flush(&mut self, line: &Line) -> Result<(), BrokerError> {
        if !self.send() {
            return Ok(());
        }
        // Acks are never answered. A prefetch means nothing to `basic.get`, but setting it is answered, after what was sent before it.
        let asking = self.channel.basic_qos(1, BasicQosOptions { global: false });
        within(line.deadlines.rpc, "waiting for settlements", asking).await
    }
}

#[async_trait]
impl Puller for RabbitPuller {
    async fn pull(&mut self) -> Result<Option<Delivery>, BrokerError> {
        for getter in &mut self.channels {
            getter.send();
        }
        let at = self.roomy().await;
        let getter = &mut self.channels[at];
        let getting = getter
            .channel
            .basic_get(self.queue.clone(), BasicGetOptions { no_ack: false });
        let got = within(self.line.deadlines.rpc, "asking a queue for a message", getting).await?;
        Ok(got.map(|message| {
            getter.held += 1;
            receipts::received(getter.id, message.delivery)
        }))
    }

    fn settle(&mut self, lease: Lease, settlement: Settlement) -> Result<(), Lease> {
        let mut getters = self.channels.iter_mut();
        let Some((tag, getter)) = getters.find_map(|getter| Some((lease.tag_at(getter.id)?, getter))) else {
            return Err(lease);
        };
        getter.held = getter.held.saturating_sub(1);
        getter.collected.push(Receipt {
            tag,
            multiple: false,
            settlement,
        });
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BrokerError> {
        for getter in &mut self.channels {
            getter.flush(&self.line).await?;
        }
        Ok(())
    }

    async fn close(mut self: Box<Self>) {
        let deadline = self.line.deadlines.close;
        let in_order = async {
            for getter in &mut self.channels {
                let _ = getter.flush(&self.line).await;
                self.line.close_channel(&getter.channel).await;
            }
        };
        let _ = tokio::time::timeout(deadline, in_order).await;
    }
}

impl fmt::Debug for RabbitPuller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = self.channels.iter().map(|getter| getter.channel.id());
        f.debug_struct("RabbitPuller")
            .field("queue", &self.queue.as_str())
            .field("channels", &channels.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
