//! The query of a URL. Its parameters have the names that RabbitMQ's other clients give them.

use std::time::Duration;

use super::error::InvalidOptions;
use super::options::ConnectOptions;
use super::uri::{Parsed, decode, invalid};

pub(super) fn apply(mut options: ConnectOptions, query: &str) -> Parsed<ConnectOptions> {
    let (mut certificate, mut key) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        options = match name {
            "heartbeat" => options.heartbeat(heartbeat(value)?),
            "connection_timeout" => options.connect_deadline(timeout(value)?),
            "connection_name" => options.connection_name(decode(value)?),
            "cacertfile" => options.ca_file(decode(value)?),
            // What we always do; other clients can be told not to.
            "verify" if value == "verify_peer" => options,
            "verify" => {
                return invalid(
                    "`verify` in the broker URL can be verify_peer only: who does not verify a certificate may be talking to anyone",
                );
            }
            "server_name_indication" => options.server_name(decode(value)?),
            "certfile" => {
                certificate = Some(decode(value)?);
                options
            }
            "keyfile" => {
                key = Some(decode(value)?);
                options
            }
            _ => {
                return invalid(
                    "the broker URL's query has a parameter that is none of heartbeat, connection_timeout, connection_name, \
                     cacertfile, certfile, keyfile, verify and server_name_indication",
                );
            }
        };
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(options.client_certificate_files(certificate, key)),
        (None, None) => Ok(options),
        _ => invalid("`certfile` and `keyfile` in the broker URL go together; one file may be both"),
    }
}

fn heartbeat(text: &str) -> Parsed<Duration> {
    seconds(text).ok_or(InvalidOptions::new(
        "`heartbeat` in the broker URL is not a whole number of seconds from 0 to 65535",
    ))
}

fn timeout(text: &str) -> Parsed<Duration> {
    match text.parse() {
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(_) => invalid("`connection_timeout` in the broker URL is not a whole number of milliseconds"),
    }
}

/// A heartbeat interval: 16 bits of seconds in the protocol.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    text.parse::<u16>()
        .ok()
        .map(|seconds| Duration::from_secs(seconds.into()))
}
