//! A channel in confirm mode.
//!
//! What is in flight passes through two places: `sending` until its frames are written, which happens in order, and
//! `confirming` until the broker's answer is here, which comes in any order. A confirm that comes late simply stays there:
//! the client would keep a dropped one until the channel ends.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};

use super::error::{self, short, within};
use super::line::Line;
use super::signal::Signal;
use super::{convert, quiet};
use crate::broker::{Answer, BrokerError, BrokerErrorKind, Destination, Publisher};
use crate::envelope::DEFAULT_FRAME_MAX;
use crate::message::Message;

const OPTIONS: BasicPublishOptions = BasicPublishOptions {
    mandatory: true,
    immediate: false,
};

/// `S` is the future of `send`, which has no name.
struct RabbitPublisher<S> {
    channel: Arc<Channel>,
    send: fn(Outgoing) -> S,
    sending: VecDeque<(u64, Pin<Box<S>>)>,
    /// Places of publishes that are written, to be used again: they are large enough for an allocator to take its time.
    places: Vec<Pin<Box<S>>>,
    confirming: FuturesUnordered<Confirming>,
    loss: Loss,
    signal: Arc<Signal>,
    /// Of `signal`, kept so that registering it again costs nothing.
    waker: Waker,
    _line: Arc<Line>,
}

/// One publish, as the client library takes it.
struct Outgoing {
    channel: Arc<Channel>,
    exchange: ShortString,
    key: ShortString,
    properties: BasicProperties,
    body: Bytes,
}

async fn send(outgoing: Outgoing) -> lapin::Result<PublisherConfirm> {
    let Outgoing {
        channel,
        exchange,
        key,
        properties,
        body,
    } = outgoing;
    channel.basic_publish(exchange, key, OPTIONS, &body, properties).await
}

/// Opens a channel to publish on.
pub(super) async fn open(line: Arc<Line>) -> Result<Box<dyn Publisher>, BrokerError> {
    let channel = line.open_channel().await?;
    on(channel, line).await
}

/// Publishes on a channel that is open already.
pub(super) async fn on(channel: Channel, line: Arc<Line>) -> Result<Box<dyn Publisher>, BrokerError> {
    let selecting = channel.confirm_select(ConfirmSelectOptions::default());
    within(line.deadlines.rpc, "opening a channel for publishing", selecting).await?;
    Ok(Box::new(RabbitPublisher::new(channel, line, send)))
}

impl<S: Future<Output = lapin::Result<PublisherConfirm>>> RabbitPublisher<S> {
    fn new(channel: Channel, line: Arc<Line>, send: fn(Outgoing) -> S) -> Self {
        let signal = Arc::new(Signal::default());
        Self {
            channel: Arc::new(channel),
            send,
            sending: VecDeque::new(),
            places: Vec::new(),
            confirming: FuturesUnordered::new(),
            loss: Loss::default(),
            waker: signal.waker(),
            signal,
            _line: line,
        }
    }

    /// A place with this publish in it.
    fn place(&mut self, outgoing: Outgoing) -> Pin<Box<S>> {
        let sending = (self.send)(outgoing);
        match self.places.pop() {
            Some(mut place) => {
                place.set(sending);
                place
            }
            None => Box::pin(sending),
        }
    }

    /// Moves what is written from `sending` to `confirming`. `true` if anything was.
    fn advance(&mut self) -> bool {
        let mut moved = false;
        // Frames are written in order: while the first waits, the others need no waker.
        while let Some((tag, sending)) = self.sending.front_mut() {
            let tag = *tag;
            match sending.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                Poll::Pending => break,
                Poll::Ready(Ok(confirm)) => self.confirming.push(Confirming { tag, confirm }),
                Poll::Ready(Err(cause)) => self.loss.record(&cause),
            }
            self.places.extend(self.sending.pop_front().map(|(_, place)| place));
            moved = true;
        }
        moved
    }

    /// The next answer among the confirms that are here; `None` when there is none left.
    fn next_confirmed(&mut self) -> Option<Answer> {
        let cx = &mut Context::from_waker(&self.waker);
        while let Poll::Ready(Some((tag, outcome))) = self.confirming.poll_next_unpin(cx) {
            match outcome {
                Ok(confirmation) => return Some(settled(tag, confirmation)),
                // Others may have been confirmed before the channel ended: they come first.
                Err(cause) => self.loss.record(&cause),
            }
        }
        None
    }
}

impl<S: Future<Output = lapin::Result<PublisherConfirm>> + Send> Publisher for RabbitPublisher<S> {
    fn publish(&mut self, tag: u64, destination: &Destination, message: &Message) -> Result<(), BrokerError> {
        let (exchange, key) = (short(&destination.exchange)?, short(&destination.routing_key)?);
        let properties = convert::to_amqp(&message.properties)?;
        if message.header_size() > DEFAULT_FRAME_MAX {
            // A header frame that is too large costs the connection, and everything on it.
            let text = format!("its properties and headers take more than a frame of {DEFAULT_FRAME_MAX} bytes");
            return Err(BrokerError::new(BrokerErrorKind::Protocol, text));
        }
        let mut sending = self.place(Outgoing {
            channel: Arc::clone(&self.channel),
            exchange,
            key,
            properties,
            body: message.body.clone(),
        });
        // The first poll takes the delivery tag and queues all frames. It happens here, in the order of the calls, and
        // never on two threads at once: that alone pairs confirms with publishes.
        match quiet::call(|| sending.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
            Poll::Pending => self.sending.push_back((tag, sending)),
            Poll::Ready(written) => {
                self.places.push(sending);
                match written {
                    Ok(confirm) => self.confirming.push(Confirming { tag, confirm }),
                    Err(cause) => self.loss.record(&cause),
                }
            }
        }
        self.signal.wake_task();
        Ok(())
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        self.signal.register(cx.waker());
        loop {
            self.signal.begin();
            if let Some(answer) = self.next_confirmed() {
                return Poll::Ready(answer);
            }
            // Both must have nothing more to give, and nothing may have come in between.
            if !self.advance() && self.signal.end() {
                break;
            }
        }
        match &self.loss.0 {
            Some(cause) => Poll::Ready(Answer::Lost(cause.clone())),
            None => Poll::Pending,
        }
    }

    fn writing(&self) -> Option<u64> {
        self.sending.front().map(|(tag, _)| *tag)
    }
}

fn settled(tag: u64, confirmation: Confirmation) -> Answer {
    let acked = match &confirmation {
        Confirmation::Ack(_) => true,
        Confirmation::Nack(_) => false,
        Confirmation::NotRequested => {
            let text = "the channel is not in confirm mode";
            return Answer::Lost(BrokerError::new(BrokerErrorKind::Protocol, text));
        }
    };
    let returned = confirmation.take_message().map(|message| {
        let id = message.properties.message_id().as_ref();
        // Whatever came back without an id is still not stored.
        id.map_or_else(String::new, |id| id.as_str().to_owned())
    });
    Answer::Settled { tag, acked, returned }
}

/// Why the channel is gone, once it is.
#[derive(Debug, Default)]
struct Loss(Option<BrokerError>);

impl Loss {
    /// The first cause counts, unless it only says that the channel is gone and a later one says why.
    fn record(&mut self, cause: &lapin::Error) {
        if self.0.is_none() || !error::is_aftermath(cause) {
            self.0 = Some(error::open(cause));
        }
    }
}

/// A publish whose frames are written.
struct Confirming {
    tag: u64,
    confirm: PublisherConfirm,
}

impl Future for Confirming {
    type Output = (u64, lapin::Result<Confirmation>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.confirm).poll(cx));
        Poll::Ready((self.tag, outcome))
    }
}

impl<S> fmt::Debug for RabbitPublisher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitPublisher")
            .field("channel", &self.channel.id())
            .field("sending", &self.sending.len())
            .field("confirming", &self.confirming.len())
            .field("loss", &self.loss)
            .finish_non_exhaustive()
    }
}
