//! What a queue writes into a message that it dead-letters, and how it notices that the message goes round in circles.

use std::sync::Arc;

use super::queue::Posted;
use crate::broker::Destination;
use crate::message::{HeaderValue, Headers};

/// Why a message was dead-lettered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Rejected,
    DeliveryLimit,
    MaxLength,
    Expired,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::DeliveryLimit => "delivery_limit",
            Self::MaxLength => "maxlen",
            Self::Expired => "expired",
        }
    }
}

/// The message as it leaves `queue` for `to`, with its death on record. `time` is in seconds since the Unix epoch.
pub(crate) fn bury(posted: &Posted, queue: &str, reason: Reason, time: u64, to: Destination) -> Arc<Posted> {
    let mut message = posted.message.clone();
    let headers = &mut message.properties.headers;
    for (name, value) in [
        ("x-first-death-exchange", posted.destination.exchange.as_str()),
        ("x-first-death-queue", queue),
        ("x-first-death-reason", reason.as_str()),
    ] {
        headers.entry(name.to_owned()).or_insert_with(|| value.into());
    }
    let mut deaths = match headers.remove("x-death") {
        Some(HeaderValue::List(deaths)) => deaths,
        _ => Vec::new(),
    };
    let known = deaths.iter().position(|death| is_death(death, queue, reason.as_str()));
    let death = match known.map(|index| deaths.remove(index)) {
        Some(death) => counted_again(death),
        None => first_death(posted, queue, reason, time),
    };
    deaths.insert(0, death);
    headers.insert("x-death".to_owned(), HeaderValue::List(deaths));
    Arc::new(Posted {
        message,
        destination: to,
    })
}

fn first_death(posted: &Posted, queue: &str, reason: Reason, time: u64) -> HeaderValue {
    let Destination { exchange, routing_key } = &posted.destination;
    HeaderValue::Table(Headers::from([
        ("count".to_owned(), HeaderValue::Int(1)),
        ("exchange".to_owned(), exchange.as_str().into()),
        ("queue".to_owned(), queue.into()),
        ("reason".to_owned(), reason.as_str().into()),
        (
            "routing-keys".to_owned(),
            HeaderValue::List(vec![routing_key.as_str().into()]),
        ),
        ("time".to_owned(), HeaderValue::Timestamp(time)),
    ]))
}

fn counted_again(mut death: HeaderValue) -> HeaderValue {
    if let HeaderValue::Table(table) = &mut death {
        let count = table.get("count").and_then(HeaderValue::as_int).unwrap_or(0);
        table.insert("count".to_owned(), HeaderValue::Int(count + 1));
    }
    death
}

fn is_death(death: &HeaderValue, queue: &str, reason: &str) -> bool {
    field(death, "queue") == Some(queue) && field(death, "reason") == Some(reason)
}

fn field<'a>(death: &'a HeaderValue, name: &str) -> Option<&'a str> {
    match death {
        HeaderValue::Table(table) => table.get(name).and_then(HeaderValue::as_text),
        _ => None,
    }
}

/// Whether a buried message would come back to `queue` without any client having rejected it on the way: RabbitMQ
/// refuses to carry such a message.
pub(crate) fn is_cycle(posted: &Posted, queue: &str) -> bool {
    let Some(HeaderValue::List(deaths)) = posted.message.properties.headers.get("x-death") else {
        return false;
    };
    let Some(last) = deaths.iter().position(|death| field(death, "queue") == Some(queue)) else {
        return false;
    };
    deaths[..=last]
        .iter()
        .all(|death| field(death, "reason") != Some("rejected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn fresh(exchange: &str, key: &str) -> Posted {
        Posted {
            message: Message::default(),
            destination: Destination {
                exchange: exchange.into(),
                routing_key: key.into(),
            },
        }
    }

    #[test]
    fn a_second_death_of_the_same_kind_is_counted_and_comes_first() {
        // Given a message that died in `mail`, then in `mail.dead`
        let to = || Destination::queue("next");
        let once = bury(&fresh("shop", "mail"), "mail", Reason::Rejected, 7, to());
        let twice = bury(&once, "mail.dead", Reason::MaxLength, 8, to());

        // When it dies in `mail` again
        let again = bury(&twice, "mail", Reason::Rejected, 9, to());

        // Then the first entry counts two, keeps its origin, and the first death is still the first
        let headers = &again.message.properties.headers;
        let HeaderValue::List(deaths) = &headers["x-death"] else {
            panic!("no list")
        };
        let HeaderValue::Table(newest) = &deaths[0] else {
            panic!("no table")
        };
        assert_eq!(deaths.len(), 2);
        assert_eq!(newest["count"], HeaderValue::Int(2));
        assert_eq!(newest["exchange"], HeaderValue::from("shop"));
        assert_eq!(newest["time"], HeaderValue::Timestamp(7));
        assert_eq!(headers["x-first-death-queue"], HeaderValue::from("mail"));
    }

    #[test]
    fn only_a_circle_without_a_rejection_is_a_cycle() {
        let to = || Destination::queue("next");
        let automatic = bury(&fresh("", "a"), "a", Reason::DeliveryLimit, 0, to());
        let rejected = bury(&automatic, "b", Reason::Rejected, 0, to());

        assert!(is_cycle(&automatic, "a"));
        assert!(!is_cycle(&automatic, "b"), "it has not been there");
        assert!(!is_cycle(&rejected, "a"), "a client rejected it in between");
    }
}
