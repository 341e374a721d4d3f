//! Header values as JSON and back. Pure.
//!
//! What JSON has is written as itself: null, booleans, whole numbers, finite floats (with a point or an exponent), texts, lists, tables. What
//! it has not is a table of one entry whose name begins with `$`: `{"$bytes": "<base64>"}`, `{"$timestamp": <seconds>}`, `{"$float": "NaN"}`. A table that
//! happens to look like that is wrapped: `{"$table": {…}}`.

use serde_json::{Map, Number, Value};

use super::base64;
use crate::message::{HeaderValue, Headers};

pub(super) fn to_json(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Null => Value::Null,
        HeaderValue::Bool(value) => Value::Bool(*value),
        HeaderValue::Int(value) => Value::from(*value),
        HeaderValue::Float(value) => match Number::from_f64(*value) {
            Some(number) => Value::Number(number),
            None => marked("$float", Value::String(value.to_string())),
        },
        HeaderValue::Text(text) => Value::String(text.clone()),
        HeaderValue::Bytes(bytes) => marked("$bytes", Value::String(base64::encode(bytes))),
        HeaderValue::Timestamp(seconds) => marked("$timestamp", Value::from(*seconds)),
        HeaderValue::List(items) => items.iter().map(to_json).collect(),
        HeaderValue::Table(table) => {
            let object = table_to_json(table);
            match mark(&object) {
                Some(_) => marked("$table", Value::Object(object)),
                None => Value::Object(object),
            }
        }
    }
}

pub(super) fn table_to_json(table: &Headers) -> Map<String, Value> {
    table
        .iter()
        .map(|(name, value)| (name.clone(), to_json(value)))
        .collect()
}

/// The header value behind JSON, or what is wrong with it.
pub(super) fn from_json(value: Value) -> Result<HeaderValue, String> {
    Ok(match value {
        Value::Null => HeaderValue::Null,
        Value::Bool(value) => HeaderValue::Bool(value),
        Value::Number(number) => from_number(&number)?,
        Value::String(text) => HeaderValue::Text(text),
        Value::Array(items) => HeaderValue::List(items.into_iter().map(from_json).collect::<Result<_, _>>()?),
        Value::Object(object) => match mark(&object) {
            Some(_) => from_marked(object)?,
            None => HeaderValue::Table(table_from_json(object)?),
        },
    })
}

pub(super) fn table_from_json(object: Map<String, Value>) -> Result<Headers, String> {
    let entries = object.into_iter().map(|(name, value)| Ok((name, from_json(value)?)));
    entries.collect()
}

fn from_number(number: &Number) -> Result<HeaderValue, String> {
    match (number.as_i64(), number.is_f64().then(|| number.as_f64()).flatten()) {
        (Some(whole), _) => Ok(HeaderValue::Int(whole)),
        (None, Some(float)) => Ok(HeaderValue::Float(float)),
        // Not quoted: the value of a header may be a secret.
        (None, None) => Err("a number is larger than a header's whole number may be".to_owned()),
    }
}

fn from_marked(object: Map<String, Value>) -> Result<HeaderValue, String> {
    // One entry: that is what makes it marked.
    let Some((mark, value)) = object.into_iter().next() else {
        return Ok(HeaderValue::Table(Headers::new()));
    };
    let wrong = || format!("`{mark}` is not one of $bytes, $timestamp, $float, $table, or holds what it cannot hold");
    match (mark.as_str(), value) {
        ("$bytes", Value::String(text)) => base64::decode(&text).map(HeaderValue::Bytes),
        ("$timestamp", Value::Number(seconds)) => seconds.as_u64().map(HeaderValue::Timestamp),
        ("$float", Value::String(text)) => text.parse().ok().map(HeaderValue::Float),
        ("$table", Value::Object(table)) => return Ok(HeaderValue::Table(table_from_json(table)?)),
        _ => None,
    }
    .ok_or_else(wrong)
}

fn marked(mark: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(mark.to_owned(), value)]))
}

/// The name of the only entry, if it begins with `$`.
fn mark(object: &Map<String, Value>) -> Option<&str> {
    let name = object.keys().next()?;
    (object.len() == 1 && name.starts_with('$')).then_some(name)
}
