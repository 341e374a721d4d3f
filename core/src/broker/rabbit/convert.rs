//! Properties, headers and arguments, to AMQP and back.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};

use super::error::short;
use crate::broker::{Argument, Arguments, BrokerError};
use crate::message::{HeaderValue, Headers, Properties};
use crate::text::Text;

/// Written to disk before it is confirmed.
const PERSISTENT: u8 = 2;

/// How deep tables may be nested before the rest is left out: a foreign producer shall not decide how much stack we use.
const MAX_DEPTH: usize = 32;

/// The properties of a message to publish: ours, and persistent.
pub(super) fn to_amqp(properties: &Properties) -> Result<BasicProperties, BrokerError> {
    let mut amqp = BasicProperties::default().with_delivery_mode(PERSISTENT);
    // Each step moves all properties: only what is set takes one.
    macro_rules! set {
        ($($text:ident: $with:ident),*) => {$(
            if let Some(text) = &properties.$text {
                amqp = amqp.$with(short(text)?);
            }
        )*};
    }
    set!(
        message_id: with_message_id,
        kind: with_type,
        content_type: with_content_type,
        content_encoding: with_content_encoding,
        correlation_id: with_correlation_id,
        reply_to: with_reply_to,
        app_id: with_app_id
    );
    if let Some(timestamp) = properties.timestamp {
        amqp = amqp.with_timestamp(timestamp);
    }
    if let Some(priority) = properties.priority {
        amqp = amqp.with_priority(priority);
    }
    if !properties.headers.is_empty() {
        amqp = amqp.with_headers(table(&properties.headers)?);
    }
    Ok(amqp)
}

/// The properties of a message that was delivered.
pub(super) fn from_amqp(amqp: &BasicProperties) -> Properties {
    let text = |value: &Option<ShortString>| value.as_ref().map(|value| Text::from(value.as_str()));
    Properties {
        message_id: text(amqp.message_id()),
        kind: text(amqp.kind()),
        content_type: text(amqp.content_type()),
        content_encoding: text(amqp.content_encoding()),
        correlation_id: text(amqp.correlation_id()),
        reply_to: text(amqp.reply_to()),
        app_id: text(amqp.app_id()),
        timestamp: *amqp.timestamp(),
        priority: *amqp.priority(),
        headers: amqp
            .headers()
            .as_ref()
            .map(|table| headers(table, 0))
            .unwrap_or_default(),
    }
}

/// The arguments of a declaration.
pub(super) fn arguments(arguments: &Arguments) -> Result<FieldTable, BrokerError> {
    let mut table = FieldTable::default();
    for (name, argument) in arguments {
        let value = match argument {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Int(value) => AMQPValue::LongLongInt(*value),
            Argument::Bool(value) => AMQPValue::Boolean(*value),
        };
        table.insert(short(name)?, value);
    }
    Ok(table)
}

fn table(headers: &Headers) -> Result<FieldTable, BrokerError> {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(short(name)?, to_value(value)?);
    }
    Ok(table)
}

fn to_value(value: &HeaderValue) -> Result<AMQPValue, BrokerError> {
    Ok(match value {
        HeaderValue::Null => AMQPValue::Void,
        HeaderValue::Bool(value) => AMQPValue::Boolean(*value),
        HeaderValue::Int(value) => AMQPValue::LongLongInt(*value),
        HeaderValue::Float(value) => AMQPValue::Double(*value),
        HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
        HeaderValue::Bytes(bytes) => AMQPValue::ByteArray(bytes.as_slice().into()),
        HeaderValue::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        HeaderValue::List(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(to_value).collect();
            AMQPValue::FieldArray(items?.into())
        }
        HeaderValue::Table(headers) => AMQPValue::FieldTable(table(headers)?),
    })
}

fn headers(table: &FieldTable, depth: usize) -> Headers {
    table
        .into_iter()
        .map(|(name, value)| (name.as_str().to_owned(), from_value(value, depth)))
        .collect()
}

fn from_value(value: &AMQPValue, depth: usize) -> HeaderValue {
    match value {
        AMQPValue::Boolean(value) => HeaderValue::Bool(*value),
        AMQPValue::ShortShortInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortShortUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongLongInt(value) => HeaderValue::Int(*value),
        AMQPValue::Float(value) => HeaderValue::Float((*value).into()),
        AMQPValue::Double(value) => HeaderValue::Float(*value),
        AMQPValue::DecimalValue(decimal) => {
            HeaderValue::Float(f64::from(decimal.value) / 10f64.powi(decimal.scale.into()))
        }
        AMQPValue::ShortString(text) => HeaderValue::Text(text.as_str().to_owned()),
        AMQPValue::LongString(text) => from_text(text),
        AMQPValue::ByteArray(bytes) => HeaderValue::Bytes(bytes.as_slice().to_vec()),
        AMQPValue::Timestamp(seconds) => HeaderValue::Timestamp(*seconds),
        AMQPValue::FieldArray(items) if depth < MAX_DEPTH => HeaderValue::List(list(items, depth + 1)),
        AMQPValue::FieldTable(table) if depth < MAX_DEPTH => HeaderValue::Table(headers(table, depth + 1)),
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) | AMQPValue::Void => HeaderValue::Null,
    }
}

fn list(items: &FieldArray, depth: usize) -> Vec<HeaderValue> {
    items.as_slice().iter().map(|item| from_value(item, depth)).collect()
}

fn from_text(text: &LongString) -> HeaderValue {
    match std::str::from_utf8(text.as_bytes()) {
        Ok(text) => HeaderValue::Text(text.to_owned()),
        Err(_) => HeaderValue::Bytes(text.as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = HeaderValue> {
        let leaf = prop_oneof![
            Just(HeaderValue::Null),
            any::<bool>().prop_map(HeaderValue::Bool),
            any::<i64>().prop_map(HeaderValue::Int),
            (-1e9..1e9).prop_map(HeaderValue::Float),
            ".{0,20}".prop_map(HeaderValue::Text),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(HeaderValue::Bytes),
            any::<u64>().prop_map(HeaderValue::Timestamp),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(HeaderValue::List),
                proptest::collection::btree_map(".{0,10}", inner, 0..6).prop_map(HeaderValue::Table),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_published_is_what_is_received(
            headers in proptest::collection::btree_map(".{0,10}", value(), 0..8),
            text in proptest::option::of(".{0,60}".prop_map(Text::from)),
            number in proptest::option::of(any::<u8>()),
        ) {
            let properties = Properties {
                message_id: text.clone(),
                kind: text.clone(),
                content_type: text.clone(),
                content_encoding: text.clone(),
                correlation_id: text.clone(),
                reply_to: text.clone(),
                app_id: text,
                timestamp: number.map(u64::from),
                priority: number,
                headers,
            };

            let amqp = to_amqp(&properties).expect("short texts");

            prop_assert_eq!(*amqp.delivery_mode(), Some(PERSISTENT));
            prop_assert_eq!(from_amqp(&amqp), properties);
        }
    }

    #[test]
    fn tables_are_read_as_deep_as_is_good_for_the_stack() {
        let mut nested = AMQPValue::Boolean(true);
        for _ in 0..10_000 {
            nested = AMQPValue::FieldArray(vec![nested].into());
        }

        let mut value = &from_value(&nested, 0);
        let mut depth = 0;
        while let HeaderValue::List(items) = value {
            (value, depth) = (&items[0], depth + 1);
        }

        assert_eq!((depth, value), (MAX_DEPTH, &HeaderValue::Null));
        // Dropping it would take the stack that reading it did not.
        std::mem::forget(nested);
    }
}
