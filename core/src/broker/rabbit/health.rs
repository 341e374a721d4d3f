//! What is known of one connection, as a watch.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::{ConnectionStatus, Event};

use super::error;
use crate::broker::{BrokerError, BrokerErrorKind, Health};
use crate::watch;

/// Follows the client's events until the connection is gone.
pub(super) async fn follow(
    events: impl Stream<Item = Event> + Send,
    status: ConnectionStatus,
    health: watch::Sender<Health>,
) {
    let mut events = std::pin::pin!(events);
    // The client tells nothing of a close with a reply code that it does not know.
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(Event::ConnectionBlocked(reason)) => set(&health, Health::Blocked(reason)),
                Some(Event::ConnectionUnblocked) => set(&health, Health::Open),
                // A soft error ends a channel only; the client reports it here as well.
                Some(Event::Error(cause)) if !cause.is_amqp_soft_error() && is_gone(&status) => {
                    return set(&health, Health::Closed(error::open(&cause)));
                }
                Some(_) => {}
                None => return set(&health, Health::Closed(unexplained())),
            },
            _ = look.tick() => if is_gone(&status) {
                return set(&health, Health::Closed(unexplained()));
            },
        }
    }
}

/// Sets the health, unless the connection is gone: that is final.
pub(super) fn set(health: &watch::Sender<Health>, to: Health) {
    health.send_if_modified(|now| {
        let changed = !matches!(now, Health::Closed(_)) && *now != to;
        if changed {
            *now = to;
        }
        changed
    });
}

fn is_gone(status: &ConnectionStatus) -> bool {
    status.errored() || status.closed()
}

fn unexplained() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Transport, "the broker closed the connection")
}
