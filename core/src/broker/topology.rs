//! Exchanges, queues and bindings as values.

use std::collections::BTreeMap;

/// Something to declare. All of it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Declaration {
    /// An exchange.
    Exchange(Exchange),
    /// A queue.
    Queue(QueueDeclaration),
    /// A binding of a queue to an exchange.
    Binding(Binding),
    /// A binding of an exchange to another.
    ExchangeBinding(ExchangeBinding),
}

/// An exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Its optional arguments, such as `alternate-exchange`.
    pub arguments: Arguments,
}

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeKind {
    /// By the exact routing key.
    Direct,
    /// To every bound queue.
    Fanout,
    /// By routing-key patterns.
    Topic,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDeclaration {
    /// Its name.
    pub name: String,
    /// Its optional arguments, such as `x-queue-type`.
    pub arguments: Arguments,
}

/// A binding of a queue to an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The queue.
    pub queue: String,
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
}

/// A binding of an exchange to another: what the first routes this way, the second routes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeBinding {
    /// The exchange that gets the messages.
    pub destination: String,
    /// The exchange that they come from.
    pub source: String,
    /// The routing key.
    pub routing_key: String,
}

/// Arguments of a declaration, by name.
pub type Arguments = BTreeMap<String, Argument>;

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Argument {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages ready for delivery. Unsettled deliveries are not among them.
    pub ready: u32,
    /// Consumers on any connection. A quorum queue counts a cancelled one until it has settled what it holds.
    pub consumers: u32,
}
