//! Which arguments a new queue may have.

use super::refusal;
use crate::broker::BrokerError;
use crate::broker::topology::{Argument, Arguments, QueueDeclaration};

/// The arguments that this broker would have to obey and cannot.
const UNSUPPORTED: [&str; 3] = ["x-expires", "x-max-length-bytes", "x-max-priority"];

/// The texts that are allowed, and what RabbitMQ says to others.
const TEXTS: [(&str, &[&str], &str); 2] = [
    (
        "x-overflow",
        &["drop-head", "reject-publish", "reject-publish-dlx"],
        "invalid_overflow",
    ),
    (
        "x-dead-letter-strategy",
        &["at-most-once", "at-least-once"],
        "invalid_dlx_strategy",
    ),
];

/// The arguments that are numbers from zero on.
const NUMBERS: [&str; 2] = ["x-max-length", "x-message-ttl"];

pub(super) fn check(wanted: &QueueDeclaration) -> Result<(), BrokerError> {
    let QueueDeclaration { name, arguments } = wanted;
    check_kind(name, arguments)?;
    for argument in UNSUPPORTED {
        if arguments.contains_key(argument) {
            return Err(refusal::unsupported(argument, name));
        }
    }
    for (argument, allowed, complaint) in TEXTS {
        if let Some(Argument::Text(text)) = arguments.get(argument)
            && !allowed.contains(&text.as_str())
        {
            return Err(refusal::invalid(argument, name, complaint));
        }
    }
    for argument in NUMBERS {
        check_number(argument, name, arguments.get(argument))?;
    }
    if arguments.contains_key("x-dead-letter-routing-key") && !arguments.contains_key("x-dead-letter-exchange") {
        let complaint = "routing_key_but_no_dlx_defined";
        return Err(refusal::invalid("x-dead-letter-routing-key", name, complaint));
    }
    Ok(())
}

fn check_number(argument: &str, queue: &str, value: Option<&Argument>) -> Result<(), BrokerError> {
    match value {
        Some(Argument::Text(_)) => {
            let complaint = "\"expected integer, got longstr\"";
            Err(refusal::invalid(argument, queue, complaint))
        }
        Some(Argument::Int(number @ ..0)) => {
            let complaint = format!("{{value_negative,{number}}}");
            Err(refusal::invalid(argument, queue, &complaint))
        }
        _ => Ok(()),
    }
}

/// Each kind of queue has arguments that the other refuses.
fn check_kind(queue: &str, arguments: &Arguments) -> Result<(), BrokerError> {
    let (kind, foreign): (_, &[&str]) = match arguments.get("x-queue-type") {
        Some(Argument::Text(kind)) if kind == "quorum" => ("quorum", &["x-max-priority", "x-queue-mode"]),
        Some(Argument::Text(kind)) if kind != "classic" => {
            let complaint = format!("\"unsupported queue type '{kind}'\"");
            return Err(refusal::invalid("x-queue-type", queue, &complaint));
        }
        _ => ("classic", &["x-delivery-limit", "x-dead-letter-strategy"]),
    };
    match foreign.iter().find(|argument| arguments.contains_key(**argument)) {
        Some(argument) => Err(refusal::foreign(argument, queue, kind)),
        None => Ok(()),
    }
}
