//! Declarations: equal ones are accepted again, different ones refused in the broker's own words.

use std::sync::Arc;

use super::queue::QueueState;
use super::routing::{ExchangeState, Target};
use super::{State, arguments, refusal};
use crate::broker::BrokerError;
use crate::broker::topology::{
    Argument, Arguments, Binding, Declaration, Exchange, ExchangeBinding, ExchangeKind, QueueDeclaration,
};

/// The arguments that must be equal in a second declaration of a queue. RabbitMQ ignores those that it does not know.
const COMPARED: [&str; 13] = [
    "x-queue-type",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-message-ttl",
    "x-overflow",
    "x-queue-mode",
    "x-single-active-consumer",
];

impl State {
    pub(crate) fn declare(&mut self, declaration: &Declaration) -> Result<(), BrokerError> {
        match declaration {
            Declaration::Exchange(exchange) => self.declare_exchange(exchange),
            Declaration::Queue(queue) => self.declare_queue(queue),
            Declaration::Binding(binding) => self.bind(binding),
            Declaration::ExchangeBinding(binding) => self.bind_exchange(binding),
        }
    }

    fn declare_exchange(&mut self, wanted: &Exchange) -> Result<(), BrokerError> {
        if wanted.name.is_empty() {
            return Err(refusal::default_exchange());
        }
        let Some(present) = self.exchanges.get(wanted.name.as_str()) else {
            refusal::check_prefix("exchange", &wanted.name)?;
            let exchange = ExchangeState::new(wanted.kind, wanted.arguments.clone());
            self.exchanges.insert(Arc::from(wanted.name.as_str()), exchange);
            return Ok(());
        };
        let subject = format!("exchange '{}'", wanted.name);
        if present.kind != wanted.kind {
            let received = format!("'{}'", kind_name(wanted.kind));
            let current = format!("'{}'", kind_name(present.kind));
            return Err(refusal::inequivalent("type", &subject, &received, &current));
        }
        compare(&subject, &["alternate-exchange"], &wanted.arguments, &present.arguments)
    }

    fn declare_queue(&mut self, wanted: &QueueDeclaration) -> Result<(), BrokerError> {
        if let Some(present) = self.queues.get(wanted.name.as_str()) {
            let subject = format!("queue '{}'", wanted.name);
            return compare(&subject, &COMPARED, &wanted.arguments, &present.arguments);
        }
        refusal::check_prefix("queue", &wanted.name)?;
        arguments::check(wanted)?;
        let queue = QueueState::new(wanted.arguments.clone());
        self.queues.insert(Arc::from(wanted.name.as_str()), queue);
        Ok(())
    }

    fn bind(&mut self, binding: &Binding) -> Result<(), BrokerError> {
        let queue = self.queues.get_key_value(binding.queue.as_str());
        let (queue, _) = queue.ok_or_else(|| refusal::no_queue(&binding.queue))?;
        if binding.exchange.is_empty() {
            return Err(refusal::default_exchange());
        }
        let exchange = self.exchanges.get_mut(binding.exchange.as_str());
        let exchange = exchange.ok_or_else(|| refusal::no_exchange(&binding.exchange))?;
        exchange.bind(&binding.routing_key, Target::Queue(Arc::clone(queue)));
        Ok(())
    }

    fn bind_exchange(&mut self, binding: &ExchangeBinding) -> Result<(), BrokerError> {
        if binding.source.is_empty() || binding.destination.is_empty() {
            return Err(refusal::default_exchange());
        }
        // As RabbitMQ does: of two that are missing it names the source.
        let known = |exchange: &str| self.exchanges.get_key_value(exchange).map(|(name, _)| Arc::clone(name));
        let source = known(&binding.source).ok_or_else(|| refusal::no_exchange(&binding.source))?;
        let destination = known(&binding.destination).ok_or_else(|| refusal::no_exchange(&binding.destination))?;
        if let Some(source) = self.exchanges.get_mut(&source) {
            source.bind(&binding.routing_key, Target::Exchange(destination));
        }
        Ok(())
    }

    pub(crate) fn delete_exchange(&mut self, exchange: &str) -> bool {
        for other in self.exchanges.values_mut() {
            other.unbind_exchange(exchange);
        }
        self.exchanges.remove(exchange).is_some()
    }
}

fn kind_name(kind: ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::Direct => "direct",
        ExchangeKind::Fanout => "fanout",
        ExchangeKind::Topic => "topic",
    }
}

fn compare(subject: &str, names: &[&str], wanted: &Arguments, present: &Arguments) -> Result<(), BrokerError> {
    for name in names {
        let (received, current) = match (value(wanted, name), value(present, name)) {
            (received, current) if received == current => continue,
            (Some(received), Some(current)) => (bare(received), bare(current)),
            (received, current) => (typed(received), typed(current)),
        };
        return Err(refusal::inequivalent(name, subject, &received, &current));
    }
    Ok(())
}

/// A queue that names no kind is a classic one.
fn value<'a>(arguments: &'a Arguments, name: &str) -> Option<&'a Argument> {
    let classic = |value: &&Argument| name == "x-queue-type" && **value == Argument::Text("classic".to_owned());
    arguments.get(name).filter(|value| !classic(value))
}

fn bare(argument: &Argument) -> String {
    match argument {
        Argument::Text(text) => format!("'{text}'"),
        Argument::Int(number) => format!("'{number}'"),
        Argument::Bool(value) => format!("'{value}'"),
    }
}

/// Where only one side has a value, RabbitMQ shows its type as well.
fn typed(argument: Option<&Argument>) -> String {
    match argument {
        None => "none".to_owned(),
        Some(value @ Argument::Text(_)) => format!("the value {} of type 'longstr'", bare(value)),
        Some(value @ Argument::Int(_)) => format!("the value {} of type 'long'", bare(value)),
        Some(value @ Argument::Bool(_)) => format!("the value {} of type 'bool'", bare(value)),
    }
}
