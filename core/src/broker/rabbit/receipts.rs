//! What the two ways of receiving, `consumer` and `puller`, have in common: how a delivery comes in and how it is settled.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};

use super::acks::Receipt;
use super::{convert, quiet};
use crate::broker::{Delivery, Lease, Settlement};
use crate::message::Message;

/// How many receipts a channel passes on to a quorum queue before it waits for the first to be applied. What comes on top
/// it only keeps in mind, and forgets when it is closed: those deliveries come back although they were acked.
pub(super) const TAKEN_AT_ONCE: u32 = 32;

/// A number for each channel that receives, which its leases carry.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A delivery in the words of the seam.
pub(super) fn received(channel: u64, delivery: lapin::message::Delivery) -> Delivery {
    Delivery {
        message: Message {
            body: delivery.data.into(),
            properties: convert::from_amqp(&delivery.properties),
        },
        redelivered: delivery.redelivered,
        lease: Lease::new(channel, delivery.delivery_tag),
    }
}

/// Queues one frame. The client queues it at the first poll, in the order of these calls, and writes it whether or not
/// anyone waits for that. If the channel is gone the broker requeues by itself, and the next event or answer says so.
pub(super) fn tell(channel: &Channel, receipt: Receipt) {
    let Receipt {
        tag,
        multiple,
        settlement,
    } = receipt;
    let nack = |requeue| channel.basic_nack(tag, BasicNackOptions { multiple, requeue });
    match settlement {
        Settlement::Ack => start(channel.basic_ack(tag, BasicAckOptions { multiple })),
        Settlement::Requeue => start(nack(true)),
        Settlement::DeadLetter => start(nack(false)),
    }
}

fn start(frame: impl Future<Output = lapin::Result<()>>) {
    let frame = pin!(frame);
    let _ = quiet::call(|| frame.poll(&mut Context::from_waker(Waker::noop())));
}
