//! A letter as one line of JSON, and back: the format of exports. Pure.
//!
//! ```json
//! {"leveret_dead_letter":1,"message_id":"welcome-7","type":"send_welcome","properties":{"content_type":"application/json","timestamp":1790000000},
//!  "headers":{"leveret-attempt":8,"leveret-failure-reason":"timed_out","leveret-hop":7},"body":{"user_id":7}}
//! ```
//!
//! The body stands there as `body`, byte for byte, where it is JSON without line breaks; otherwise as `body_base64`. Headers as in `value`; the broker's
//! own records are not among them, but written out as a worker would have written them. Fields that are not known are ignored.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::death::{self, Death, DiedBy};
use super::{base64, value};
use crate::envelope::headers;
use crate::id::JobId;
use crate::message::{Message, Properties};
use crate::text::Text;

/// The version of the format.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(rename = "leveret_dead_letter")]
    version: u32,
    message_id: Text,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind: Option<Text>,
    #[serde(default)]
    properties: Carried,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The properties that are only carried along.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Carried {
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
}

/// Writes a letter. One without an id gets one here: however often the line is imported, it is the same job.
pub(super) fn write(letter: &Message) -> String {
    let Properties {
        message_id,
        kind,
        content_type,
        content_encoding,
        correlation_id,
        reply_to,
        app_id,
        timestamp,
        priority,
        headers,
    } = letter.properties.clone();
    let death = Death::read(&headers);
    let mut table = headers;
    table.retain(|name, _| !headers::is_broker_bookkeeping(name));
    if matches!(death.by, DiedBy::Broker { .. }) {
        death::write(&death, &mut table);
    }
    let body = as_json(&letter.body);
    let line = Line {
        version: VERSION,
        message_id: message_id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| JobId::random().into()),
        kind,
        properties: Carried {
            content_type,
            content_encoding,
            correlation_id,
            reply_to,
            app_id,
            timestamp,
            priority,
        },
        headers: value::table_to_json(&table),
        body_base64: body.is_none().then(|| base64::encode(&letter.body)),
        body,
    };
    serde_json::to_string(&line).unwrap_or_default()
}

/// The body as it can stand in a line. `null` cannot: there it would mean that there is none.
fn as_json(body: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(body).ok()?;
    let is_plain = !text.contains(['\n', '\r']) && text.trim() == text && text != "null";
    let raw = is_plain
        .then(|| RawValue::from_string(text.to_owned()).ok())
        .flatten()?;
    (raw.get() == text).then_some(raw)
}

/// Reads a line, or says what is wrong with it. It does not quote it: a body is nobody's business.
pub(super) fn read(text: &str) -> Result<Message, String> {
    let line: Line = serde_json::from_str(text).map_err(|error| place(&error))?;
    if line.version != VERSION {
        let there = line.version;
        return Err(format!(
            "it is of version {there} of the format, and this program reads version {VERSION}"
        ));
    }
    let id = JobId::new(line.message_id).map_err(|reason| format!("`message_id`: {reason}"))?;
    let body = match (line.body, line.body_base64) {
        (Some(body), None) => body.get().as_bytes().to_vec(),
        (None, Some(text)) => base64::decode(&text).ok_or("`body_base64` is not base64 (with padding)")?,
        _ => return Err("it needs either `body` or `body_base64`".to_owned()),
    };
    let carried = line.properties;
    Ok(Message {
        body: body.into(),
        properties: Properties {
            message_id: Some(id.into()),
            kind: line.kind,
            content_type: carried.content_type,
            content_encoding: carried.content_encoding,
            correlation_id: carried.correlation_id,
            reply_to: carried.reply_to,
            app_id: carried.app_id,
            timestamp: carried.timestamp,
            priority: carried.priority,
            headers: value::table_from_json(line.headers).map_err(|fault| format!("`headers`: {fault}"))?,
        },
    })
}

fn place(error: &serde_json::Error) -> String {
    let column = error.column();
    match error.classify() {
        serde_json::error::Category::Data => {
            format!(
                "it lacks `leveret_dead_letter` or `message_id`, or a field holds what it cannot hold (column {column})"
            )
        }
        _ => format!("it is not a line of JSON (column {column})"),
    }
}

#[cfg(test)]
mod tests;
