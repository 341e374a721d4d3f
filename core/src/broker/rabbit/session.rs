//! One connection as the seam knows it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind as AmqpExchangeKind};

use super::consumer::RabbitConsumer;
use super::convert::arguments;
use super::error::{short, within};
use super::line::Line;
use super::publisher;
use super::puller::RabbitPuller;
use crate::broker::{
    Argument, BrokerError, Consumer, Declaration, Duplex, ExchangeKind, Health, Publisher, Puller, QueueDepth, Session,
};
use crate::watch;

/// How RabbitMQ begins its answer (405) where a queue is another connection's own.
const LOCKED: &str = "RESOURCE_LOCKED";

pub(super) struct RabbitSession {
    line: Arc<Line>,
}

impl RabbitSession {
    pub(super) fn new(line: Arc<Line>) -> Self {
        Self { line }
    }

    async fn declare_one(&self, channel: &Channel, declaration: &Declaration) -> Result<(), BrokerError> {
        let deadline = self.line.deadlines.rpc;
        match declaration {
            Declaration::Exchange(exchange) => {
                let (name, table) = (short(&exchange.name)?, arguments(&exchange.arguments)?);
                let options = ExchangeDeclareOptions {
                    durable: true,
                    ..Default::default()
                };
                let declaring = channel.exchange_declare(name, kind(exchange.kind), options, table);
                within(deadline, "declaring an exchange", declaring).await
            }
            Declaration::Queue(queue) => {
                let (name, table) = (short(&queue.name)?, arguments(&queue.arguments)?);
                let options = QueueDeclareOptions {
                    durable: true,
                    ..Default::default()
                };
                let declaring = channel.queue_declare(name, options, table);
                within(deadline, "declaring a queue", declaring).await.map(drop)
            }
            Declaration::Binding(binding) => {
                let (queue, exchange) = (short(&binding.queue)?, short(&binding.exchange)?);
                let key = short(&binding.routing_key)?;
                let binding =
                    channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default());
                within(deadline, "binding a queue", binding).await
            }
            Declaration::ExchangeBinding(binding) => {
                let (destination, source) = (short(&binding.destination)?, short(&binding.source)?);
                let key = short(&binding.routing_key)?;
                let options = ExchangeBindOptions::default();
                let binding = channel.exchange_bind(destination, source, key, options, FieldTable::default());
                within(deadline, "binding an exchange", binding).await
            }
        }
    }
}

fn kind(kind: ExchangeKind) -> AmqpExchangeKind {
    match kind {
        ExchangeKind::Direct => AmqpExchangeKind::Direct,
        ExchangeKind::Fanout => AmqpExchangeKind::Fanout,
        ExchangeKind::Topic => AmqpExchangeKind::Topic,
    }
}

#[async_trait]
impl Session for RabbitSession {
    async fn declare(&self, declarations: &[Declaration]) -> Result<(), (usize, BrokerError)> {
        if declarations.is_empty() {
            return Ok(());
        }
        let channel = self.line.open_channel().await.map_err(|error| (0, error))?;
        for (index, declaration) in declarations.iter().enumerate() {
            self.declare_one(&channel, declaration)
                .await
                .map_err(|error| (index, error))?;
        }
        self.line.close_channel(&channel).await;
        Ok(())
    }

    async fn inspect(&self, queue: &str) -> Result<QueueDepth, BrokerError> {
        let name = short(queue)?;
        let channel = self.line.open_channel().await?;
        let options = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let asking = channel.queue_declare(name, options, FieldTable::default());
        let queue = within(self.line.deadlines.rpc, "inspecting a queue", asking).await?;
        self.line.close_channel(&channel).await;
        Ok(QueueDepth {
            ready: queue.message_count(),
            consumers: queue.consumer_count(),
        })
    }

    async fn inspect_exchange(&self, exchange: &str) -> Result<(), BrokerError> {
        let name = short(exchange)?;
        let channel = self.line.open_channel().await?;
        let options = ExchangeDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let asking = channel.exchange_declare(name, AmqpExchangeKind::Direct, options, FieldTable::default());
        within(self.line.deadlines.rpc, "inspecting an exchange", asking).await?;
        self.line.close_channel(&channel).await;
        Ok(())
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, BrokerError> {
        publisher::open(Arc::clone(&self.line)).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        Ok(Box::new(
            RabbitConsumer::open(Arc::clone(&self.line), queue, prefetch).await?,
        ))
    }

    async fn puller(&self, queue: &str) -> Result<Box<dyn Puller>, BrokerError> {
        Ok(Box::new(RabbitPuller::open(Arc::clone(&self.line), queue).await?))
    }

    async fn lock(&self, name: &str) -> Result<bool, BrokerError> {
        let name = short(name)?;
        let channel = self.line.open_channel().await?;
        // Gone with the connection. The kind is said, lest a virtual host's default be one that cannot be exclusive.
        let options = QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        };
        let kind = arguments(&[("x-queue-type".to_owned(), Argument::Text("classic".to_owned()))].into())?;
        let declaring = channel.queue_declare(name, options, kind);
        match within(self.line.deadlines.rpc, "taking a lock", declaring).await {
            Ok(_) => {
                self.line.close_channel(&channel).await;
                Ok(true)
            }
            Err(error) if error.to_string().starts_with(LOCKED) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn duplex(&self, queue: &str, prefetch: u16) -> Result<Duplex, BrokerError> {
        let channel = self.line.open_channel().await?;
        // First of all the confirms: a delivery may be answered with a publish as soon as it comes.
        let publisher = publisher::on(channel.clone(), Arc::clone(&self.line)).await?;
        let consumer = RabbitConsumer::on(channel, Arc::clone(&self.line), queue, prefetch).await?;
        Ok(Duplex::new(Box::new(consumer), publisher))
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.line.health()
    }

    async fn close(&self) {
        self.line.close().await;
    }
}

impl fmt::Debug for RabbitSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitSession")
            .field("health", &*self.line.health().borrow())
            .finish_non_exhaustive()
    }
}
