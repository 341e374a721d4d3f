//! The in-memory [`Session`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::consumer::MemoryConsumer;
use super::fault::{Fault, FaultPoint, Moment};
use super::hub::Hub;
use super::publisher::MemoryPublisher;
use super::puller::MemoryPuller;
use super::refusal;
use super::world::World;
use crate::broker::topology::{Declaration, QueueDepth};
use crate::broker::{BrokerError, Consumer, Duplex, Health, Publisher, Puller, Session};
use crate::watch;

/// How long a command waits for a blocked connection.
const DEADLINE: Duration = Duration::from_secs(15);

/// The client's end of a connection, shared by its session, publishers and consumers.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) hub: Arc<Hub>,
    connection: u64,
    health: watch::Receiver<Health>,
    _plug: Arc<Plug>,
}

/// Ends the connection when the last of those who use it is gone.
struct Plug {
    hub: Arc<Hub>,
    connection: u64,
}

impl Drop for Plug {
    fn drop(&mut self) {
        self.hub
            .with(|world| world.lose_connection(self.connection, &refusal::closed()));
    }
}

impl Line {
    /// Waits while the connection is blocked: the broker reads nothing of it then.
    pub(super) async fn unblocked(&self) -> Result<(), BrokerError> {
        if !matches!(*self.health.borrow(), Health::Blocked(_)) {
            return Ok(());
        }
        let mut health = self.health.clone();
        let open = health.wait_for(|health| !matches!(health, Health::Blocked(_)));
        match tokio::time::timeout(DEADLINE, open).await {
            Ok(_) => Ok(()),
            Err(_) => Err(refusal::no_answer("the connection is blocked")),
        }
    }

    /// The fault for a command, after the delay that it may ask for.
    async fn approach(&self, point: FaultPoint) -> Result<Fault, BrokerError> {
        self.unblocked().await?;
        let fault = self.hub.with(|world| world.fault(point));
        if let Fault::DelayAnswer(delay) = fault {
            tokio::time::sleep(delay).await;
        }
        Ok(fault)
    }

    fn check(&self, world: &World) -> Result<(), BrokerError> {
        if world.is_connected(self.connection) {
            return Ok(());
        }
        match &*self.health.borrow() {
            Health::Closed(error) => Err(error.clone()),
            _ => Err(refusal::lost()),
        }
    }

    /// Sends one command and takes its answer.
    pub(super) async fn call<R>(
        &self,
        point: FaultPoint,
        act: impl FnOnce(&mut World, u64) -> Result<R, BrokerError> + Send,
    ) -> Result<R, BrokerError> {
        let fault = self.approach(point).await?;
        self.hub.with(|world| {
            self.check(world)?;
            world.strike_rpc(fault, Moment::Before, self.connection)?;
            let result = act(world, self.connection)?;
            world.strike_rpc(fault, Moment::After, self.connection)?;
            Ok(result)
        })
    }

    /// Opens a channel. A fault that strikes afterwards strikes the open channel: its owner hears of it there.
    async fn open(
        &self,
        point: FaultPoint,
        act: impl FnOnce(&mut World, u64) -> Result<u64, BrokerError> + Send,
    ) -> Result<u64, BrokerError> {
        let fault = self.approach(point).await?;
        self.hub.with(|world| {
            self.check(world)?;
            world.strike_rpc(fault, Moment::Before, self.connection)?;
            if let Fault::FailRpc(_) = fault {
                return Err(refusal::no_answer("fault"));
            }
            let channel = act(world, self.connection)?;
            world.strike(fault, Moment::After, self.connection, channel);
            Ok(channel)
        })
    }
}

/// One connection. It lives until it is closed, or until it and all its publishers and consumers are dropped.
pub(super) struct MemorySession {
    line: Line,
}

impl MemorySession {
    pub(super) fn new(hub: Arc<Hub>, connection: u64, health: watch::Receiver<Health>) -> Self {
        let plug = Plug {
            hub: Arc::clone(&hub),
            connection,
        };
        let line = Line {
            hub,
            connection,
            health,
            _plug: Arc::new(plug),
        };
        Self { line }
    }
}

#[async_trait]
impl Session for MemorySession {
    async fn declare(&self, declarations: &[Declaration]) -> Result<(), (usize, BrokerError)> {
        for (index, declaration) in declarations.iter().enumerate() {
            self.line
                .call(FaultPoint::Declare, |world, _| world.state.declare(declaration))
                .await
                .map_err(|error| (index, error))?;
        }
        Ok(())
    }

    async fn inspect(&self, queue: &str) -> Result<QueueDepth, BrokerError> {
        self.line
            .call(FaultPoint::Inspect, |world, _| world.state.inspect(queue))
            .await
    }

    async fn inspect_exchange(&self, exchange: &str) -> Result<(), BrokerError> {
        self.line
            .call(FaultPoint::Inspect, |world, _| world.state.inspect_exchange(exchange))
            .await
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, BrokerError> {
        let channel = self.line.open(FaultPoint::OpenPublisher, World::open_publisher).await?;
        Ok(Box::new(MemoryPublisher::new(self.line.clone(), channel)))
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        let start = |world: &mut World, connection| world.consume(connection, queue, prefetch);
        let channel = self.line.open(FaultPoint::Consume, start).await?;
        Ok(Box::new(MemoryConsumer::new(self.line.clone(), channel)))
    }

    async fn puller(&self, queue: &str) -> Result<Box<dyn Puller>, BrokerError> {
        let start = |world: &mut World, connection| world.open_puller(connection, queue);
        let channel = self.line.open(FaultPoint::Consume, start).await?;
        Ok(Box::new(MemoryPuller::new(self.line.clone(), channel, queue)))
    }

    async fn lock(&self, name: &str) -> Result<bool, BrokerError> {
        let take = |world: &mut World, connection| Ok(world.lock(connection, name));
        self.line.call(FaultPoint::Declare, take).await
    }

    async fn duplex(&self, queue: &str, prefetch: u16) -> Result<Duplex, BrokerError> {
        let start = |world: &mut World, connection| world.open_duplex(connection, queue, prefetch);
        let channel = self.line.open(FaultPoint::Consume, start).await?;
        let consumer = MemoryConsumer::new(self.line.clone(), channel);
        let publisher = MemoryPublisher::new(self.line.clone(), channel);
        Ok(Duplex::new(Box::new(consumer), Box::new(publisher)))
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.line.health.clone()
    }

    async fn close(&self) {
        self.line.hub.with(|world| {
            let error = match world.fault(FaultPoint::Close) {
                Fault::LoseConnection(_) => refusal::lost(),
                _ => refusal::closed(),
            };
            world.lose_connection(self.line.connection, &error);
        });
    }
}

impl fmt::Debug for MemorySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { connection, health, .. } = &self.line;
        f.debug_struct("MemorySession")
            .field("connection", connection)
            .field("health", &*health.borrow())
            .finish_non_exhaustive()
    }
}
