//! The publishing channel of a lane, through all its states: none, being opened, open, or paused after it was lost.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::broker::{Answer, BrokerError, Publisher, Session};

/// The pause after a channel was lost while its connection lives, so that a publish that kills channels cannot spin.
const PAUSE: Duration = Duration::from_millis(20);
/// The pause after a channel could not be opened.
const LONG_PAUSE: Duration = Duration::from_millis(500);

type Opening = Pin<Box<dyn Future<Output = Result<Box<dyn Publisher>, BrokerError>> + Send>>;

pub(super) enum Channel {
    /// There is no connection.
    None,
    Opening(Opening),
    Open(Box<dyn Publisher>),
    Pausing(Pin<Box<Sleep>>),
}

/// What a channel has to tell.
pub(super) enum ChannelEvent {
    /// It can be used now, or a new one may be opened.
    Changed,
    Settled {
        tag: u64,
        acked: bool,
        returned: Option<String>,
    },
    Lost(BrokerError),
}

impl Channel {
    pub(super) fn open(session: &Arc<dyn Session>) -> Self {
        let session = Arc::clone(session);
        Self::Opening(Box::pin(async move { session.publisher().await }))
    }

    pub(super) fn pause() -> Self {
        Self::Pausing(Box::pin(tokio::time::sleep(PAUSE)))
    }

    /// Whether it is time to open a new channel, given that there is a connection.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn publisher(&mut self) -> Option<&mut Box<dyn Publisher>> {
        match self {
            Self::Open(publisher) => Some(publisher),
            _ => None,
        }
    }

    /// The oldest publish of which not all bytes have left yet.
    pub(super) fn writing(&self) -> Option<u64> {
        match self {
            Self::Open(publisher) => publisher.writing(),
            _ => None,
        }
    }

    /// Drives whatever state it is in.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ChannelEvent> {
        match self {
            Self::None => Poll::Pending,
            Self::Open(publisher) => publisher.poll_answer(cx).map(|answer| match answer {
                Answer::Settled { tag, acked, returned } => ChannelEvent::Settled { tag, acked, returned },
                Answer::Lost(error) => ChannelEvent::Lost(error),
            }),
            Self::Opening(opening) => opening.as_mut().poll(cx).map(|opened| {
                *self = match opened {
                    Ok(publisher) => Self::Open(publisher),
                    Err(error) => {
                        tracing::warn!(%error, "no channel for publishing; trying again");
                        Self::Pausing(Box::pin(tokio::time::sleep(LONG_PAUSE)))
                    }
                };
                ChannelEvent::Changed
            }),
            Self::Pausing(sleep) => sleep.as_mut().poll(cx).map(|()| {
                *self = Self::None;
                ChannelEvent::Changed
            }),
        }
    }
}
