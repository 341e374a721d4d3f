//! Taking messages out of a queue without a worker: what really lies in the broker.

use std::future::poll_fn;
use std::sync::Arc;

use leveret::broker::{Consumer, ConsumerEvent, Session, Settlement};
use leveret::{Message, Rabbit};

use crate::signal::soon;

/// The connection for consuming, once it stands.
///
/// # Panics
///
/// If it does not stand in time.
pub async fn session(rabbit: &Rabbit) -> Arc<dyn Session> {
    let mut state = rabbit.consuming().state();
    let up = state.wait_for(|state| state.session().is_some());
    let up = soon("a connection for consuming", up).await.expect("the link lives");
    let (_, session) = up.session().expect("waited for");
    Arc::clone(session)
}

/// How many messages are ready in a queue.
///
/// # Panics
///
/// If there is no such queue.
pub async fn depth(rabbit: &Rabbit, queue: &str) -> u32 {
    session(rabbit)
        .await
        .inspect(queue)
        .await
        .expect("the queue exists")
        .ready
}

/// Takes all that is ready in a queue, in order, and acks it.
///
/// # Panics
///
/// If there is no such queue, or the connection breaks.
pub async fn take_all(rabbit: &Rabbit, queue: &str) -> Vec<Message> {
    let ready = depth(rabbit, queue).await;
    take(rabbit, queue, ready as usize).await
}

/// Takes `count` messages from a queue, in order, and acks them.
///
/// # Panics
///
/// If they do not come, or the connection breaks.
pub async fn take(rabbit: &Rabbit, queue: &str, count: usize) -> Vec<Message> {
    let mut consumer = session(rabbit)
        .await
        .consume(queue, 1_000)
        .await
        .expect("the queue exists");
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        taken.push(next(&mut *consumer, queue).await);
        consumer.flush();
    }
    consumer.cancel().await.expect("it lives");
    consumer.close().await;
    taken
}

async fn next(consumer: &mut dyn Consumer, queue: &str) -> Message {
    match soon(format!("a message from {queue}"), poll_fn(|cx| consumer.poll_event(cx))).await {
        ConsumerEvent::Delivery(delivery) => {
            consumer.settle(delivery.lease, Settlement::Ack).expect("its own lease");
            delivery.message
        }
        other => panic!("no message from {queue}: {other:?}"),
    }
}
