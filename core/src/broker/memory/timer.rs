//! A sleep that is only there while there is something to wait for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::clock::Clock;

/// Wakes its owner at a time of the broker's clock.
#[derive(Debug, Default)]
pub(super) struct Timer {
    armed: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Timer {
    /// Ready once `due` has come; without one, never.
    pub(super) fn poll_until(&mut self, due: Option<Duration>, clock: Clock, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = due else {
            self.armed = None;
            return Poll::Pending;
        };
        if self.armed.as_ref().is_none_or(|(armed, _)| *armed != due) {
            let left = due.saturating_sub(clock.now());
            self.armed = Some((due, Box::pin(tokio::time::sleep(left))));
        }
        let Some((_, sleep)) = &mut self.armed else {
            return Poll::Pending;
        };
        let polled = sleep.as_mut().poll(cx);
        if polled.is_ready() {
            self.armed = None;
        }
        polled
    }
}
