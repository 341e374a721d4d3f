//! A channel that consumes one queue.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};

use async_trait::async_trait;
use futures_util::Stream;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;

use super::acks::{AckBook, Receipt};
use super::error::{self, short, within};
use super::line::Line;
use super::{convert, quiet};
use crate::broker::{BrokerError, Consumer, ConsumerEvent, Delivery, Lease, Settlement};
use crate::message::Message;

/// The only consumer on its channel, so that it knows the channel's only consumer tag.
const TAG: &str = "leveret";

/// Gives each consumer of the process its own number, which its leases carry.
static NEXT: AtomicU64 = AtomicU64::new(1);

pub(super) struct RabbitConsumer {
    id: u64,
    channel: Channel,
    stream: lapin::Consumer,
    book: AckBook,
    cancelled: bool,
    line: Arc<Line>,
}

impl RabbitConsumer {
    pub(super) async fn open(line: Arc<Line>, queue: &str, prefetch: u16) -> Result<Self, BrokerError> {
        let (queue, deadline) = (short(queue)?, line.deadlines.rpc);
        let channel = line.open_channel().await?;
        // Prefetch 0 would mean no limit. Never global: a quorum queue closes the connection over it.
        let limiting = channel.basic_qos(prefetch.max(1), BasicQosOptions { global: false });
        within(deadline, "setting the prefetch", limiting).await?;
        let options = BasicConsumeOptions::default();
        let subscribing = channel.basic_consume(queue, TAG.into(), options, FieldTable::default());
        let stream = within(deadline, "subscribing to a queue", subscribing).await?;
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            channel,
            stream,
            book: AckBook::default(),
            cancelled: false,
            line,
        })
    }

    fn receive(&mut self, delivery: lapin::message::Delivery) -> Delivery {
        let tag = delivery.delivery_tag;
        self.book.deliver(tag);
        Delivery {
            message: Message {
                body: delivery.data.into(),
                properties: convert::from_amqp(&delivery.properties),
            },
            redelivered: delivery.redelivered,
            lease: Lease::new(self.id, tag),
        }
    }

    /// Queues one frame. The client queues it at the first poll, in the order of these calls, and writes it whether or not
    /// anyone waits for that. If the channel is gone the broker requeues by itself, and the stream says so.
    fn tell(&self, receipt: Receipt) {
        let Receipt {
            tag,
            multiple,
            settlement,
        } = receipt;
        let nack = |requeue| self.channel.basic_nack(tag, BasicNackOptions { multiple, requeue });
        match settlement {
            Settlement::Ack => start(self.channel.basic_ack(tag, BasicAckOptions { multiple })),
            Settlement::Requeue => start(nack(true)),
            Settlement::DeadLetter => start(nack(false)),
        }
    }
}

fn start(frame: impl Future<Output = lapin::Result<()>>) {
    let frame = pin!(frame);
    let _ = quiet::call(|| frame.poll(&mut Context::from_waker(Waker::noop())));
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

    async fn cancel(&mut self) -> Result<(), BrokerError> {
        if self.cancelled {
            return Ok(());
        }
        let cancelling = self.channel.basic_cancel(TAG.into(), BasicCancelOptions::default());
        within(self.line.deadlines.rpc, "cancelling a subscription", cancelling).await?;
        self.cancelled = true;
        Ok(())
    }

    async fn close(mut self: Box<Self>) {
        // One queue of frames for the channel: its close is written after these, and answered after they are handled.
        self.flush();
        let _ = self.cancel().await;
        self.line.close_channel(&self.channel).await;
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
