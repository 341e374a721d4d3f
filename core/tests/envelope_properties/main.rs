//! What holds of every job, every name and every message, however strange.
#![allow(clippy::expect_used, reason = "tests; clippy knows only functions marked as such")]

mod secrecy;
mod strategies;

use std::time::Duration;

use leveret::envelope::{DEFAULT_FRAME_MAX, DecodeError, Incoming, Limits, fit_header, headers, republish};
use leveret::{Envelope, HeaderValue, Headers, Job, JobId, Message, Queue};
use proptest::prelude::*;

use crate::secrecy::cash;
use crate::strategies::{PlaceOrder, header_value, message, order, why};

fn unlimited() -> Limits {
    let mut limits = Limits::default();
    limits.max_body = usize::MAX;
    limits.max_header = usize::MAX;
    limits
}

fn hop(message: &Message) -> Option<i64> {
    message
        .properties
        .headers
        .get(headers::HOP)
        .and_then(HeaderValue::as_int)
}

fn is_bookkeeping(name: &str) -> bool {
    let counts = [
        "x-death",
        "x-delivery-count",
        "x-acquired-count",
        "x-opt-delivery-count",
    ];
    let routes = ["CC", "BCC", headers::RESENT];
    counts.contains(&name)
        || routes.contains(&name)
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
}

/// The rule for everything that travels as an AMQP short string.
fn can_travel(text: &str) -> bool {
    (1..=255).contains(&text.len()) && !text.bytes().any(|byte| byte < 0x20 || byte == 0x7f)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_job_arrives_as_it_was_sent(job in order()) {
        let envelope = Envelope::new(job.clone()).expect("serializable");
        let message = envelope.to_message(&unlimited()).expect("no limits");

        let incoming = Incoming::read(&message).expect("own headers");
        prop_assert_eq!(&incoming.id, envelope.id());
        prop_assert_eq!(incoming.name.as_deref(), Some(PlaceOrder::NAME));
        prop_assert_eq!(Incoming::job::<PlaceOrder>(&message.body).expect("own body"), job);
    }

    #[test]
    fn an_envelope_survives_its_storage(
        job in order(),
        attempts in any::<u32>(),
        timeout in any::<Duration>(),
        (name, value) in (any::<String>(), header_value()),
        correlation in any::<String>(),
    ) {
        let mut envelope = Envelope::new(job).expect("serializable").with_max_attempts(attempts).with_timeout(timeout);
        if let Ok(with_header) = envelope.clone().with_header(name, value) {
            envelope = with_header;
        }
        if let Ok(correlated) = envelope.clone().with_correlation_id(correlation) {
            envelope = correlated;
        }

        let row = serde_json::to_string(&envelope).expect("plain data");
        let again: Envelope = serde_json::from_str(&row).expect("own output");

        prop_assert_eq!(again.queue(), envelope.queue());
        let message = envelope.to_message(&unlimited()).expect("only checked parts");
        prop_assert_eq!(&again.to_message(&unlimited()).expect("as before"), &message);
        // Whatever was set is in the range that a worker reads.
        let incoming = Incoming::read(&message).expect("own headers");
        prop_assert_eq!(incoming.max_attempts, Some(attempts.max(1)));
        let limit = Duration::from_millis(u32::MAX.into());
        let read = incoming.timeout.expect("it was set");
        prop_assert!(read > Duration::ZERO && read <= limit);
        prop_assert!(timeout > limit || read.abs_diff(timeout) <= Duration::from_millis(1));
    }

    #[test]
    fn any_message_is_read_or_refused_with_a_reason(message in message()) {
        match Incoming::read(&message) {
            Ok(incoming) => prop_assert!(incoming.attempt >= 1 && can_travel(incoming.id.as_str())),
            Err(DecodeError::MessageId) => {
                prop_assert!(!can_travel(message.properties.message_id.as_deref().unwrap_or_default()));
            }
            Err(DecodeError::Header { header }) => {
                prop_assert!(message.properties.headers.contains_key(header));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
        if let Err(error) = Incoming::job::<PlaceOrder>(&message.body) {
            let is_body = matches!(error, DecodeError::Body { .. });
            prop_assert!(is_body, "{}", error);
        }
    }

    #[test]
    fn a_successor_keeps_the_job_and_sheds_the_bookkeeping(
        original in message(),
        attempt in any::<u32>(),
        why in why(),
    ) {
        let before = Incoming::read(&original);
        let id = before.as_ref().map_or_else(|_| JobId::random(), |incoming| incoming.id.clone());

        let successor = republish(&original, &id, attempt, &why);

        prop_assert_eq!(&successor.body, &original.body);
        prop_assert_eq!(&successor.properties.kind, &original.properties.kind);
        prop_assert!(!successor.properties.headers.keys().any(|name| is_bookkeeping(name)));
        for (name, value) in &original.properties.headers {
            if !is_bookkeeping(name) && !name.starts_with(headers::PREFIX) {
                // By their text: a float that is not a number is not equal to itself.
                let kept = format!("{:?}", successor.properties.headers.get(name));
                prop_assert_eq!(kept, format!("{:?}", Some(value)));
            }
        }
        let hop = hop(&successor).expect("always set");
        prop_assert!((1..=i64::from(u32::MAX)).contains(&hop));
        if let Ok(before) = before {
            let after = Incoming::read(&successor).expect("a readable message has a readable successor");
            prop_assert_eq!(hop, i64::from(before.hop.unwrap_or(0).saturating_add(1)));
            prop_assert_eq!((after.id, after.name, after.resent), (id, before.name, false));
            prop_assert_eq!((after.max_attempts, after.timeout), (before.max_attempts, before.timeout));
        }
    }

    #[test]
    fn a_successor_of_what_kept_to_the_limits_fits_its_frame(original in message(), why in why()) {
        // Filled up to the last byte: a name of six letters and a text take 12 bytes beside the text.
        let limit = Limits::default().max_header;
        let mut original = original;
        let room = limit.saturating_sub(original.header_size() + 12);
        original.properties.headers.insert("filler".to_owned(), "f".repeat(room).into());
        prop_assert_eq!(original.header_size(), limit);

        let successor = republish(&original, &JobId::random(), 1, &why);

        let whole = successor.clone();
        let fitted = fit_header(successor, DEFAULT_FRAME_MAX).expect("room is kept for the record");
        prop_assert_eq!(format!("{fitted:?}"), format!("{whole:?}"));
    }

    #[test]
    fn any_header_fits_or_is_refused(original in message(), frame_max in 0usize..10_000, why in why()) {
        let successor = republish(&original, &JobId::random(), 1, &why);
        let body = successor.body.clone();
        if let Ok(fitted) = fit_header(successor, frame_max) {
            prop_assert!(fitted.header_size() <= frame_max);
            prop_assert_eq!(fitted.body, body);
        }
    }

    #[test]
    fn any_name_is_taken_or_refused(name in prop_oneof![any::<String>(), "[a-zäß. ]{1,300}", "amq\\..{0,3}"]) {
        prop_assert_eq!(JobId::new(name.as_str()).is_ok(), can_travel(&name));
        let queue = can_travel(&name) && name.len() <= 180 && !name.starts_with("amq.");
        prop_assert_eq!(Queue::named(name.as_str()).is_ok(), queue);

        let envelope = Envelope::new(cash()).expect("serializable");
        prop_assert_eq!(envelope.clone().with_correlation_id(name.as_str()).is_ok(), can_travel(&name));
        let reserved = name.starts_with("x-") || name.starts_with(headers::PREFIX) || is_bookkeeping(&name);
        prop_assert_eq!(envelope.with_header(name.as_str(), 1).is_ok(), can_travel(&name) && !reserved);
    }
}

#[test]
fn a_header_value_that_cannot_travel_is_refused() {
    let mut deep = HeaderValue::Null;
    for _ in 0..16 {
        deep = HeaderValue::List(vec![deep]);
    }
    let envelope = Envelope::new(cash()).expect("serializable");
    for (value, fault) in [
        (deep, "deep"),
        (HeaderValue::Float(f64::NAN), "finite"),
        (HeaderValue::List(vec![f64::INFINITY.into()]), "finite"),
        (HeaderValue::Table(Headers::from([("n".repeat(256), 1.into())])), "255"),
    ] {
        let error = envelope
            .clone()
            .with_header("tenant", value)
            .expect_err(fault)
            .to_string();
        assert!(error.contains(fault) && error.contains("tenant"), "{error}");
    }
}
