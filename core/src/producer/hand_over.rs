//! An enqueue on its way to the ledger: [`HandOver`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::enqueue::Enqueue;
use super::error::EnqueueError;
use super::middleware;
use super::pending::Pending;

type Waiting = Pin<Box<dyn Future<Output = Result<Pending, EnqueueError>> + Send>>;

/// Resolves when the ledger has the job. It begins with the first poll, and mostly ends with it: only what has to wait, for room or for a middleware,
/// is put on the heap, because that and what it takes to be there cost more than the rest of an enqueue.
#[expect(clippy::large_enum_variant, reason = "a box for it is what this spares")]
pub(super) enum HandOver {
    Begun(Enqueue),
    Waiting(Waiting),
    Over,
}

impl HandOver {
    fn begin(enqueue: Enqueue) -> Result<Result<Pending, EnqueueError>, Waiting> {
        let Enqueue {
            shared,
            envelope,
            confirm_timeout,
        } = enqueue;
        let envelope = match envelope {
            Ok(envelope) => envelope,
            Err(error) => return Ok(Err(error.into())),
        };
        if !shared.ways.middlewares.is_empty() {
            return Err(Box::pin(middleware::enqueue(shared, envelope, confirm_timeout)));
        }
        match shared.hand_over_now(&envelope, confirm_timeout) {
            Ok(handed) => Ok(handed),
            Err(full) => Err(Box::pin(async move { shared.hand_over_later(full).await })),
        }
    }
}

impl Future for HandOver {
    type Output = Result<Pending, EnqueueError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let handing = &mut *self;
        loop {
            match std::mem::replace(handing, Self::Over) {
                Self::Begun(enqueue) => match Self::begin(enqueue) {
                    Ok(ended) => return Poll::Ready(ended),
                    Err(waiting) => *handing = Self::Waiting(waiting),
                },
                Self::Waiting(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(ended) => return Poll::Ready(ended),
                    Poll::Pending => {
                        *handing = Self::Waiting(waiting);
                        return Poll::Pending;
                    }
                },
                Self::Over => panic!("polled after it had ended, which no `await` does"),
            }
        }
    }
}

/// A whole enqueue: the hand-over, and then the wait for the confirm.
pub(super) enum Enqueuing {
    HandingOver(HandOver),
    Handed(Pending),
}

impl Future for Enqueuing {
    type Output = Result<crate::id::JobId, EnqueueError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let enqueuing = &mut *self;
        if let Self::HandingOver(handing) = enqueuing {
            match ready!(Pin::new(handing).poll(cx)) {
                Ok(pending) => *enqueuing = Self::Handed(pending),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match enqueuing {
            Self::Handed(pending) => Pin::new(pending).poll(cx),
            Self::HandingOver(_) => Poll::Pending,
        }
    }
}
