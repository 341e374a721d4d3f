//! Options from what an application has: nothing, a URL, other options.

use std::fmt;
use std::str::FromStr;

use super::endpoint::{AmqpEndpoint, Endpoint, Host, Secret};
use super::error::InvalidOptions;
use super::options::ConnectOptions;
use super::tls::TlsSettings;
use super::uri;

impl Default for ConnectOptions {
    /// `amqp://localhost`.
    fn default() -> Self {
        Self::new(Endpoint::Amqp(AmqpEndpoint {
            hosts: vec![Host {
                name: "localhost".to_owned(),
                port: uri::PORT,
            }],
            vhost: "/".to_owned(),
            username: uri::GUEST.to_owned(),
            password: Secret(uri::GUEST.to_owned()),
            provider: None,
            encrypted: false,
            tls: TlsSettings::default(),
        }))
    }
}

impl fmt::Display for ConnectOptions {
    /// The URL, with `***` for the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

impl FromStr for ConnectOptions {
    type Err = InvalidOptions;

    /// Parses a URL. No environment variable is looked at.
    fn from_str(url: &str) -> Result<Self, InvalidOptions> {
        uri::parse(url)
    }
}

impl TryFrom<&str> for ConnectOptions {
    type Error = InvalidOptions;

    fn try_from(url: &str) -> Result<Self, InvalidOptions> {
        url.parse()
    }
}

impl TryFrom<String> for ConnectOptions {
    type Error = InvalidOptions;

    fn try_from(url: String) -> Result<Self, InvalidOptions> {
        url.parse()
    }
}

impl TryFrom<&String> for ConnectOptions {
    type Error = InvalidOptions;

    fn try_from(url: &String) -> Result<Self, InvalidOptions> {
        url.parse()
    }
}

impl From<&ConnectOptions> for ConnectOptions {
    fn from(options: &ConnectOptions) -> Self {
        options.clone()
    }
}
