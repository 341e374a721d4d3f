//! A connection that lives: what a session, its publishers and its consumers share.

use std::sync::Arc;

use lapin::{Channel, Connection};
use tokio::task::AbortHandle;

use super::cable::Cable;
use super::{AmqpThread, error, health};
use crate::broker::{BrokerError, BrokerErrorKind, Health};
use crate::connect::Deadlines;
use crate::watch;

/// One connection. It is cut when the last of its session, publishers and consumers is gone.
pub(super) struct Line {
    pub(super) connection: Connection,
    pub(super) deadlines: Deadlines,
    /// Written by `follow` and at last by `close`; read by everyone.
    health: watch::Sender<Health>,
    follow: AbortHandle,
    /// Dropped after the connection, in the order of these fields.
    cable: Cable,
    /// Held, not used: the connection's tasks run there.
    _thread: Arc<AmqpThread>,
}

impl Line {
    pub(super) fn start(
        connection: Connection,
        cable: Cable,
        deadlines: Deadlines,
        thread: Arc<AmqpThread>,
    ) -> Arc<Self> {
        let (health, _) = watch::channel(Health::Open);
        let follow = health::follow(
            connection.events_listener(),
            connection.status().clone(),
            health.clone(),
        );
        Arc::new(Self {
            deadlines,
            follow: thread.handle().spawn(follow).abort_handle(),
            health,
            connection,
            cable,
            _thread: thread,
        })
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(super) async fn open_channel(&self) -> Result<Channel, BrokerError> {
        error::within(
            self.deadlines.rpc,
            "opening a channel",
            self.connection.create_channel(),
        )
        .await
    }

    /// Closes a channel in order. A failure is nobody's business: the channel is gone either way.
    pub(super) async fn close_channel(&self, channel: &Channel) {
        let closing = channel.close(200, "OK".into());
        let _ = error::within(self.deadlines.close, "closing a channel", closing).await;
    }

    /// Closes the connection in order, or cuts it at the deadline: a blocked connection writes nothing, not even a close.
    pub(super) async fn close(&self) {
        self.follow.abort();
        let closing = self.connection.close(200, "OK".into());
        let _ = error::within(self.deadlines.close, "closing the connection", closing).await;
        self.cable.cut();
        health::set(&self.health, Health::Closed(closed()));
    }
}

fn closed() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Closed, "the connection was closed from this side")
}

impl Drop for Line {
    fn drop(&mut self) {
        self.follow.abort();
        // Whoever still watches would wait for ever.
        health::set(&self.health, Health::Closed(closed()));
    }
}
