//! A channel that consumes one queue.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::Stream;
use lapin::Channel;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use super::acks::{AckBook, Receipt};
use super::error::{self, short, within};
use super::line::Line;
use super::receipts::{self, TAKEN_AT_ONCE};
use crate::broker::{BrokerError, Consumer, ConsumerEvent, Delivery, Lease, Settlement};

/// The only consumer on its channel, so that it knows the channel's only consumer tag.
const TAG: &str = "leveret";

/// How long a queue gets at least to apply what it has been told. Nothing says when it has, a loaded broker is slow, and this
/// is waited only at the end of a channel that told a lot since its last exchange with the queue.
const APPLIED: Duration = Duration::from_secs(1);

pub(super) struct RabbitConsumer {
    id: u64,
    channel: Channel,
    stream: lapin::Consumer,
    book: AckBook,
    cancelled: Option<Cancelled>,
    line: Arc<Line>,
}

/// Since the subscription was cancelled.
#[derive(Debug, Clone, Copy)]
struct Cancelled {
    /// How long the broker took for it: about as long as a queue needs to apply anything.
    took: Duration,
    /// The receipts sent since.
    told: u32,
}

impl RabbitConsumer {
    pub(super) async fn open(line: Arc<Line>, queue: &str, prefetch: u16) -> Result<Self, BrokerError> {
        let channel = line.open_channel().await?;
        Self::on(channel, line, queue, prefetch).await
    }

    /// Consumes on a channel that is open already.
    pub(super) async fn on(channel: Channel, line: Arc<Line>, queue: &str, prefetch: u16) -> Result<Self, BrokerError> {
        let (queue, deadline) = (short(queue)?, line.deadlines.rpc);
        // Prefetch 0 would mean no limit. Never global: a quorum queue closes the connection over it.
        let limiting = channel.basic_qos(prefetch.max(1), BasicQosOptions { global: false });
        within(deadline, "setting the prefetch", limiting).await?;
        let options = BasicConsumeOptions::default();
        let subscribing = channel.basic_consume(queue, TAG.into(), options, FieldTable::default());
        let stream = within(deadline, "subscribing to a queue", subscribing).await?;
        Ok(Self {
            id: receipts::next_id(),
            channel,
            stream,
            book: AckBook::default(),
            cancelled: None,
            line,
        })
    }

    fn receive(&mut self, delivery: lapin::message::Delivery) -> Delivery {
        self.book.deliver(delivery.delivery_tag);
        receipts::received(self.id, delivery)
    }

    fn tell(&mut self, receipt: Receipt) {
        receipts::tell(&self.channel, receipt);
        if let Some(cancelled) = &mut self.cancelled {
            cancelled.told = cancelled.told.saturating_add(1);
        }
    }

    /// Waits until a quorum queue has applied what it was told since the cancel, so that nothing of it is forgotten with the
    /// channel. There is no request that waits for that; a cancel does, for what was told before it.
    async fn applied(&self) {
        if let Some(Cancelled { took, told }) = self.cancelled
            && told >= TAKEN_AT_ONCE
        {
            tokio::time::sleep(APPLIED.max(took * 4)).await;
        }
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ConsumerEvent> {
        Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
            Some(Ok(delivery)) => ConsumerEvent::Delivery(self.receive(delivery)),
            Some(Err(cause)) => ConsumerEvent::Lost(error::open(&cause)),
            None if self.channel.status().connected() => ConsumerEvent::Cancelled,
            None => ConsumerEvent::Lost(error::channel_gone()),
        })
    }

    fn settle(&mut self, lease: Lease, settlement: Settlement) -> Result<(), Lease> {
        match lease.tag_at(self.id) {
            Some(tag) => {
                self.book.finish(tag, settlement);
                Ok(())
            }
            None => Err(lease),
        }
    }

    fn flush(&mut self) {
        for receipt in self.book.take() {
            self.tell(receipt);
        }
    }

    fn flush_prefix(&mut self) -> usize {
        let (receipts, left) = self.book.take_together();
        for receipt in receipts {
            self.tell(receipt);
        }
        left
    }

    async fn cancel(&mut self) -> Result<(), BrokerError> {
        if self.cancelled.is_some() {
            return Ok(());
        }
        let begun = Instant::now();
        let cancelling = self.channel.basic_cancel(TAG.into(), BasicCancelOptions::default());
        within(self.line.deadlines.rpc, "cancelling a subscription", cancelling).await?;
        let took = begun.elapsed();
        self.cancelled = Some(Cancelled { took, told: 0 });
        Ok(())
    }

    async fn close(mut self: Box<Self>) {
        let deadline = self.line.deadlines.close;
        let in_order = async {
            // First of all: what is requeued while the subscription stands may come straight back to it.
            let _ = self.cancel().await;
            self.flush();
            self.applied().await;
            self.line.close_channel(&self.channel).await;
        };
        // On a blocked connection not even the cancel is written; the channel then ends with the connection.
        let _ = tokio::time::timeout(deadline, in_order).await;
    }
}

impl fmt::Debug for RabbitConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitConsumer")
            .field("id", &self.id)
            .field("channel", &self.channel.id())
            .field("book", &self.book)
            .finish_non_exhaustive()
    }
}
