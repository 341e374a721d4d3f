//! Getting to a channel that jobs can be fetched on, and losing it.

use std::sync::Arc;
use std::time::Duration;

use leveret::Backoff;
use leveret::broker::{BrokerError, Puller, Session};
use leveret::runtime::LinkState;
use leveret::topology::ensure;
use tokio::time::{Instant, timeout_at};

use super::error::FetchError;
use super::keeper::{Channel, Keeper, Place};
use crate::cancellation::Cause;
use crate::joined::JoinedPuller;

/// How long a fetch goes on trying.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The waits between its tries.
const PACE: Backoff = Backoff::exponential("100ms", "2s");

impl Keeper {
    /// Gets ready to fetch.
    pub(super) async fn open(&mut self) -> Result<(), FetchError> {
        self.open_until(Instant::now() + PATIENCE).await
    }

    pub(super) async fn open_until(&mut self, end: Instant) -> Result<(), FetchError> {
        let mut tries = 0;
        loop {
            self.follow();
            if self.channel.is_some() {
                return Ok(());
            }
            let (generation, session) = self.connected(end).await?;
            match self.place.subscribe(&*session).await {
                Ok(puller) => self.channel = Some(Channel { generation, puller }),
                Err(NotOpen::Final(error)) => return Err(error),
                Err(NotOpen::Broker(error)) => {
                    tries += 1;
                    self.failed(error, end, tries).await?;
                }
            }
        }
    }

    /// The connection, as soon as there is one.
    async fn connected(&mut self, end: Instant) -> Result<(u64, Arc<dyn Session>), FetchError> {
        let usable = self
            .link
            .wait_for(|state| state.session().is_some() || matches!(state, LinkState::Stopped));
        let _ = timeout_at(end, usable).await.map(drop);
        let state = self.link.borrow().clone();
        if let Some((generation, session)) = state.session() {
            return Ok((generation, Arc::clone(session)));
        }
        let error = match state {
            LinkState::Down { last_error, .. } => last_error,
            _ => None,
        };
        Err(FetchError::down(self.place.queue.name(), error))
    }

    /// A try has failed: waits before the next, or gives up.
    pub(super) async fn failed(&mut self, error: BrokerError, end: Instant, tries: u32) -> Result<(), FetchError> {
        self.lose();
        let wait = PACE.wait(tries, fastrand::f64());
        if error.needs_a_person() || Instant::now() + wait >= end {
            return Err(FetchError::down(self.place.queue.name(), Some(error)));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Channels do not outlive their connection.
    pub(super) fn follow(&mut self) {
        let generation = self.link.borrow_and_update().generation();
        if let Some(channel) = &self.channel
            && Some(channel.generation) != generation
        {
            self.lose();
        }
    }

    /// The channel is gone: what was fetched on it comes again. What waits for its successor takes that back, if it can.
    pub(super) fn lose(&mut self) {
        self.channel = None;
        for held in self.held.values_mut() {
            held.lease = None;
            held.attempt.switch.fire(Cause::LeaseLost);
            if let Some(sending) = &mut held.sending {
                drop(sending.withdraw.take());
            }
        }
    }
}

impl Place {
    /// Makes sure that all is there, and opens a channel.
    async fn subscribe(&self, session: &dyn Session) -> Result<Box<dyn Puller>, NotOpen> {
        let (queue, mode) = (self.queue.name(), self.rabbit.options().topology_mode());
        match ensure(session, mode, self.successors.declarations()).await {
            Ok(()) => {
                let puller = JoinedPuller::open(session, self.successors.sources(), mode).await;
                Ok(Box::new(puller.map_err(NotOpen::Broker)?))
            }
            Err(error) if error.is_final() => Err(NotOpen::Final(FetchError::topology(queue, error))),
            Err(error) => Err(NotOpen::Broker(error.broker_error().clone())),
        }
    }
}

/// Why nothing can be fetched yet.
enum NotOpen {
    /// Only a person can mend it.
    Final(FetchError),
    Broker(BrokerError),
}
