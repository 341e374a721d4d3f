//! Holding the letters of a queue: the one pass in which everything here looks at them.
//!
//! Letters are taken by a consumer, not one by one with `basic.get`: to a quorum queue each get is a consumer of its own, and what
//! several consumers held goes back in any order when their connection dies. A single consumer's letters go back in order, however
//! it ends, and they are never requeued by a nack, which RabbitMQ 3.10 applies to more than 32 of them in any order: they go back because the
//! channel closes. The broker hands all of them to the consumer in one step, so that at no moment only some of those are held
//! that stood at the head because they had been held before; what goes back stands behind what went back before.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::bounds::{Reach, Scan, ScanLimits};
use super::error::InspectError;
use super::source::Source;
use crate::broker::{
    BrokerError, BrokerErrorKind, Consumer, ConsumerEvent, Delivery, Health, Lease, QueueDepth, Session, Settlement,
};
use crate::clock::Clock;
use crate::envelope::headers;
use crate::message::HeaderValue;

/// How long nothing has to come before no more is awaited.
const SILENCE: Duration = Duration::from_secs(5);

/// How long another inspection is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// So often a letter may have been delivered where nobody knows the limit: half of what RabbitMQ 4.0 to 4.2 take where none is set.
const MANY_DELIVERIES: u32 = 10;

/// Between two looks at what the broker does not announce.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The letters of a queue, held. Dropped, or lost with its connection, they go back as they were.
pub(super) struct Hold {
    /// Oldest first; whoever deals with one takes it out.
    pub(super) letters: Vec<Delivery>,
    pub(super) scan: Scan,
    /// On the clock: when they have to go back.
    end: Duration,
    hands: Hands,
}

/// What holds them.
struct Hands {
    /// In the order in which they go back. Before the session: with it goes the connection.
    consumers: Vec<Box<dyn Consumer>>,
    session: Arc<dyn Session>,
    queue: String,
    clock: Clock,
    before: QueueDepth,
    acked: usize,
    /// Why the letters are not held any more.
    lost: Option<BrokerError>,
}

impl Hold {
    /// Takes the letters of a queue, as far as the limits allow. Nobody else inspects it meanwhile.
    pub(super) async fn take(source: &Source, limits: ScanLimits) -> Result<Self, InspectError> {
        let clock = source.rabbit.clock();
        let session = source.connect().await?;
        lock(source, &*session).await?;
        let end = clock.now().saturating_add(limits.time);
        let certain = source.check(&*session).await? || limits.trusting;
        let before = session.inspect(&source.name).await;
        let before = before.map_err(|error| InspectError::broker(&source.name, error))?;
        let mut hands = Hands {
            consumers: Vec::new(),
            session,
            queue: source.name.clone(),
            clock,
            before,
            acked: 0,
            lost: None,
        };
        let taken = hands.take_letters(limits, end).await;
        let (letters, scan) = taken.map_err(|error| InspectError::broker(&source.name, error))?;
        let deliveries = letters.iter().map(deliveries).max().unwrap_or(0);
        if !certain && deliveries >= MANY_DELIVERIES {
            // Whatever happens to the connection now, they go back.
            let _ = hands.give_back().await;
            return Err(InspectError::unchecked(&source.name, deliveries));
        }
        Ok(Self {
            letters,
            scan,
            end,
            hands,
        })
    }

    /// Whether the letters have to go back now.
    pub(super) fn is_over(&self) -> bool {
        self.hands.clock.now() >= self.end
    }

    /// Why the letters are not held any more, if they are not.
    pub(super) fn loss(&self) -> Option<BrokerError> {
        self.hands.loss()
    }

    /// Removes a letter from its queue for good.
    pub(super) fn remove(&mut self, lease: Lease) {
        if let Some(first) = self.hands.consumers.first_mut() {
            // Every lease here is of this consumer.
            let _ = first.settle(lease, Settlement::Ack);
            self.hands.acked += 1;
        }
    }

    /// Tells the broker what was removed so far.
    pub(super) fn flush(&mut self) {
        self.hands.flush();
    }

    /// Puts back what was not removed, and waits until it is there.
    ///
    /// # Errors
    /// The connection is gone: everything is back, and some of what was removed may be as well.
    pub(super) async fn give_back(mut self) -> Result<Scan, BrokerError> {
        self.flush();
        self.letters.clear();
        self.hands.give_back().await.map(|()| self.scan)
    }
}

async fn lock(source: &Source, session: &dyn Session) -> Result<(), InspectError> {
    let (clock, name) = (source.rabbit.clock(), source.lock());
    let end = clock.now().saturating_add(PATIENCE);
    loop {
        let locked = session.lock(&name).await;
        if locked.map_err(|error| InspectError::lock(&source.name, &name, error))? {
            return Ok(());
        }
        if clock.now() >= end {
            return Err(InspectError::busy(&source.name));
        }
        tokio::time::sleep(LOOK_AGAIN * 5).await;
    }
}

impl Hands {
    async fn take_letters(&mut self, limits: ScanLimits, end: Duration) -> Result<(Vec<Delivery>, Scan), BrokerError> {
        let mut reach = Reach::new(limits, self.before.ready as usize);
        let mut letters = Vec::new();
        if reach.there == 0 {
            return Ok((letters, reach.scan(false)));
        }
        let mut was_back = false;
        let mut consumer = self.session.consume(&self.queue, reach.wanted()).await?;
        while !reach.is_filled()
            && let Some(delivery) = next(&mut *consumer, self.clock, end).await?
        {
            was_back = delivery.redelivered;
            let message = &delivery.message;
            if reach.admit(message.body.len() + message.header_size()) {
                letters.push(delivery);
            }
        }
        self.consumers.push(consumer);
        let behind = reach.there.saturating_sub(usize::from(reach.wanted()));
        if was_back && behind > 0 {
            self.hold_the_rest(behind, end).await?;
        }
        Ok((letters, reach.scan(self.clock.now() >= end)))
    }

    /// More letters were held before than are now: those behind would come before the ones that go back, unless they go back after them.
    async fn hold_the_rest(&mut self, count: usize, end: Duration) -> Result<(), BrokerError> {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        let mut consumer = self.session.consume(&self.queue, count).await?;
        for _ in 0..count {
            if next(&mut *consumer, self.clock, end).await?.is_none() {
                break;
            }
        }
        self.consumers.push(consumer);
        Ok(())
    }

    /// Sends what was settled. For what is gone the broker may hand out more: it is held, and not looked at.
    fn flush(&mut self) {
        let Some(first) = self.consumers.first_mut() else {
            return;
        };
        first.flush();
        let mut cx = Context::from_waker(Waker::noop());
        while self.lost.is_none() {
            match first.poll_event(&mut cx) {
                Poll::Ready(ConsumerEvent::Delivery(_)) => {}
                Poll::Ready(ConsumerEvent::Lost(error)) => self.lost = Some(error),
                Poll::Ready(ConsumerEvent::Cancelled) => self.lost = Some(deleted()),
                Poll::Pending => break,
            }
        }
    }

    fn loss(&self) -> Option<BrokerError> {
        if let Some(error) = &self.lost {
            return Some(error.clone());
        }
        match &*self.session.health().borrow() {
            Health::Closed(error) => Some(error.clone()),
            _ => None,
        }
    }

    async fn give_back(&mut self) -> Result<(), BrokerError> {
        let consumers = std::mem::take(&mut self.consumers);
        let mut left = consumers.len();
        for consumer in consumers {
            consumer.close().await;
            left -= 1;
            self.settled(left).await;
        }
        let loss = self.loss();
        self.session.close().await;
        loss.map_or(Ok(()), Err)
    }

    /// Waits until the broker has taken in the end of a consumer. It says so only when it is asked, and then all that the consumer held is
    /// back at once.
    async fn settled(&mut self, left: usize) {
        let end = self.clock.now().saturating_add(SILENCE);
        while let Ok(depth) = self.session.inspect(&self.queue).await {
            let gone = depth.consumers as usize <= self.before.consumers as usize + left;
            let back = depth.ready as usize + self.acked >= self.before.ready as usize;
            let shared = left > 0 || self.before.consumers > 0;
            if (gone && (back || shared)) || self.clock.now() >= end {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// The next letter; `None`: no more is coming in time.
async fn next(consumer: &mut dyn Consumer, clock: Clock, end: Duration) -> Result<Option<Delivery>, BrokerError> {
    let wait = SILENCE.min(end.saturating_sub(clock.now()));
    match tokio::time::timeout(wait, poll_fn(|cx| consumer.poll_event(cx))).await {
        Ok(ConsumerEvent::Delivery(delivery)) => Ok(Some(delivery)),
        Ok(ConsumerEvent::Lost(error)) => Err(error),
        Ok(ConsumerEvent::Cancelled) => Err(deleted()),
        Err(_) => Ok(None),
    }
}

/// How often the broker says that a letter was delivered in vain.
fn deliveries(letter: &Delivery) -> u32 {
    let table = &letter.message.properties.headers;
    let count = table.get(headers::BROKER_DELIVERY_COUNT).and_then(HeaderValue::as_int);
    count.map_or(0, |count| u32::try_from(count.max(0)).unwrap_or(u32::MAX))
}

fn deleted() -> BrokerError {
    let text = "the queue was deleted while it was looked at";
    BrokerError::new(BrokerErrorKind::NotFound, text)
}
