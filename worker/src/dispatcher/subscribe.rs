//! Getting to consume: waiting for a connection, subscribing on it, and what goes on meanwhile.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use leveret::broker::Session;
use leveret::runtime::LinkState;
use leveret::topology::ensure;
use leveret::watch;

use super::{Dispatcher, NotSubscribed, Phase};
use crate::health::QueueState;
use crate::joined::JoinedConsumer;

impl Dispatcher {
    /// The connection to consume on, as soon as there is one; `None` once the worker shuts down, or the process has closed its
    /// connections for good.
    pub(super) async fn next_session(&mut self) -> Option<Arc<dyn Session>> {
        let mut link = self.wires.consuming.state();
        loop {
            let state = link.borrow_and_update().clone();
            // Channels do not outlive their connection: what was held on them comes again on the next.
            self.follow(state.generation());
            if *self.setup.phase.borrow() > Phase::Running {
                return None;
            }
            match state {
                LinkState::Up { session, .. } | LinkState::Blocked { session, .. } => return Some(session),
                LinkState::Down { last_error, .. } => drop(last_error.map(|error| self.down(&error))),
                _ => return None,
            }
            // An error means that the supervisor is gone, which is the same as a stop.
            self.serve_while_running(link.changed()).await?.ok()?;
        }
    }

    pub(super) async fn subscribe(&mut self, session: &Arc<dyn Session>) -> Result<(), NotSubscribed> {
        // Before there is a consumer: from then on it may be given jobs.
        let presence = self.enter()?;
        let (mode, prefetch) = (self.wires.options.topology_mode(), self.prefetch());
        let declarations = Arc::clone(self.wires.successors.declarations());
        let sources = self.sources();
        let session = Arc::clone(session);
        let opening = async move {
            let ensured = ensure(&*session, mode, &declarations).await;
            ensured.map_err(NotSubscribed::Topology)?;
            let opened = JoinedConsumer::open(&*session, &sources, prefetch, mode).await;
            opened.map_err(NotSubscribed::Broker)
        };
        // Not given up at a shutdown: it has a deadline, and half a subscription would keep jobs to itself.
        let consumer = self.serve(opening).await?;
        self.presence = presence;
        self.memory.channel_ended();
        self.channels.open(consumer);
        self.setup.reporter.set(self.fetching());
        Ok(())
    }

    /// Waits until the broker takes publishes again. `false`: the worker shuts down.
    pub(super) async fn wait_for_publishing(&mut self) -> bool {
        let mut publishing = self.wires.publishing.state();
        let mut consuming = self.wires.consuming.state();
        loop {
            let connection = consuming.borrow_and_update().generation();
            self.follow(connection);
            let changed = async {
                tokio::select! {
                    biased;
                    // An error means that the connection is closed for good, which `next_session` deals with.
                    _ = async { publishing.wait_for(LinkState::is_up).await.map(drop) } => true,
                    changed = consuming.changed() => changed.is_err(),
                }
            };
            match self.serve_while_running(changed).await {
                Some(true) => return true,
                Some(false) => {}
                None => return false,
            }
        }
    }

    pub(super) fn down(&self, error: &dyn std::fmt::Display) {
        self.setup.reporter.set(QueueState::Down {
            error: error.to_string(),
        });
    }

    /// Settles what ends while waiting for something else.
    async fn serve<T>(&mut self, until: impl Future<Output = T>) -> T {
        let mut until = pin!(until);
        loop {
            tokio::select! {
                biased;
                value = &mut until => return value,
                // It stops nothing: there is no open consumer.
                _ = self.turn() => {}
            }
        }
    }

    /// The same; `None` as soon as the worker shuts down.
    pub(super) async fn serve_while_running<T>(&mut self, until: impl Future<Output = T>) -> Option<T> {
        let mut phase = self.setup.phase.clone();
        self.serve(async move {
            tokio::select! {
                biased;
                () = leaving(&mut phase) => None,
                value = until => Some(value),
            }
        })
        .await
    }
}

/// Resolves once the worker shuts down, or is gone.
pub(super) async fn leaving(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase > Phase::Running).await;
}
