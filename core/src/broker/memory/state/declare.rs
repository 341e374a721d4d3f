//! Declarations: equal ones are accepted again, different ones refused in the broker's own words.

use std::sync::Arc;

use super::queue::QueueState;
use super::routing::ExchangeState;
use super::{State, refusal};
use crate::broker::BrokerError;
use crate::broker::topology::{Argument, Arguments, Binding, Declaration, Exchange, ExchangeKind, QueueDeclaration};

/// The arguments that must be equal in a second declaration of a queue. RabbitMQ ignores those that it does not know.
const COMPARED: [&str; 13] = [
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
    "x-queue-type",
    "x-single-active-consumer",
];

/// The arguments that this broker would have to obey and cannot.
const UNSUPPORTED: [&str; 5] = [
    "x-expires",
    "x-max-length-bytes",
    "x-max-priority",
    "x-message-ttl",
    "x-single-active-consumer",
];

impl State {
    pub(crate) fn declare(&mut self, declaration: &Declaration) -> Result<(), BrokerError> {
        match declaration {
            Declaration::Exchange(exchange) => self.declare_exchange(exchange),
            Declaration::Queue(queue) => self.declare_queue(queue),
            Declaration::Binding(binding) => self.bind(binding),
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
        check_arguments(wanted)?;
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
        exchange.bind(&binding.routing_key, Arc::clone(queue));
        Ok(())
    }

    pub(crate) fn delete_exchange(&mut self, exchange: &str) -> bool {
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
        let (received, current) = (wanted.get(*name), present.get(*name));
        if received != current {
            return Err(refusal::inequivalent(name, subject, &shown(received), &shown(current)));
        }
    }
    Ok(())
}

fn shown(argument: Option<&Argument>) -> String {
    match argument {
        None => "none".to_owned(),
        Some(Argument::Text(text)) => format!("the value '{text}' of type 'longstr'"),
        Some(Argument::Int(number)) => format!("the value '{number}' of type 'long'"),
    }
}

fn check_arguments(wanted: &QueueDeclaration) -> Result<(), BrokerError> {
    let QueueDeclaration { name, arguments } = wanted;
    for argument in UNSUPPORTED {
        if arguments.contains_key(argument) {
            return Err(refusal::unsupported(argument, name));
        }
    }
    if arguments.contains_key("x-dead-letter-routing-key") && !arguments.contains_key("x-dead-letter-exchange") {
        return Err(refusal::invalid(
            "x-dead-letter-routing-key",
            name,
            "routing_key_but_no_dlx_defined",
        ));
    }
    for argument in ["x-delivery-limit", "x-max-length"] {
        if let Some(Argument::Int(number)) = arguments.get(argument).filter(|value| is_negative(value)) {
            return Err(refusal::invalid(
                argument,
                name,
                &format!("{{value_negative,{number}}}"),
            ));
        }
    }
    Ok(())
}

fn is_negative(argument: &Argument) -> bool {
    matches!(argument, Argument::Int(number) if *number < 0)
}
