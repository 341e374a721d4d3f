//! Options from environment variables.

use super::error::InvalidOptions;
use super::options::ConnectOptions;
use super::uri;

const URL: &str = "AMQP_URL";
const HEARTBEAT: &str = "LEVERET_HEARTBEAT";

/// Builds options from whatever `lookup` knows of the variables.
pub(super) fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<ConnectOptions, InvalidOptions> {
    let url = lookup(URL).ok_or(InvalidOptions::new(
        "the environment variable AMQP_URL is not set; set it to a URL such as amqp://user:password@host:5672/vhost",
    ))?;
    let mut options: ConnectOptions = url.parse()?;
    if let Some(seconds) = lookup(HEARTBEAT) {
        let reason = "the environment variable LEVERET_HEARTBEAT is not a whole number of seconds from 0 to 65535";
        options.heartbeat = uri::heartbeat(&seconds, reason)?;
    }
    Ok(options)
}
