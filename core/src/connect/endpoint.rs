//! What a URL names: brokers on the network, or a broker in memory.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

#[cfg(feature = "rabbitmq")]
use super::credentials::Credentials;
use super::credentials::Provider;
use super::tls::TlsSettings;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// RabbitMQ over AMQP 0-9-1.
    Amqp(AmqpEndpoint),
    /// A broker in this process's memory: nothing outlives the process.
    Memory {
        /// Its name; the empty name is the one that the whole process shares.
        name: String,
    },
}

/// The nodes of one RabbitMQ cluster, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmqpEndpoint {
    /// The nodes, at least one.
    pub(crate) hosts: Vec<Host>,
    /// The virtual host.
    pub(crate) vhost: String,
    pub(crate) username: String,
    pub(crate) password: Secret,
    /// Asked instead of the two above.
    pub(crate) provider: Option<Provider>,
    /// `amqps://`.
    pub(crate) encrypted: bool,
    /// Only of use where it is encrypted, and refused where it is not.
    pub(crate) tls: TlsSettings,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A host name, an IPv4 address, or an IPv6 address without brackets.
    pub(crate) name: String,
    /// The TCP port.
    pub(crate) port: u16,
}

/// A text that shows itself to nobody by accident.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(super) String);

impl AmqpEndpoint {
    /// The nodes in the order of the URL, at least one.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The virtual host, decoded; `/` unless the URL names another.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// The user name, decoded; `guest` unless the URL names another. A credentials provider may give another one.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Whether the connection is encrypted (`amqps://`).
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The settings of the encrypted connection.
    #[must_use]
    pub fn tls(&self) -> &TlsSettings {
        &self.tls
    }
}

impl Host {
    /// A host name, an IPv4 address, or an IPv6 address without brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(feature = "rabbitmq")]
impl AmqpEndpoint {
    /// Those of the URL or of `credentials`.
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials {
            username: self.username.clone(),
            password: self.password.clone(),
        }
    }
}

#[cfg(feature = "rabbitmq")]
impl Secret {
    /// The text itself, for the handshake and nothing else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    /// The URL, with `***` for the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amqp(amqp) => amqp.fmt(f),
            Self::Memory { name } => write!(f, "memory://{name}"),
        }
    }
}

impl fmt::Display for AmqpEndpoint {
    /// The URL, with `***` for the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}:***@", utf8_percent_encode(&self.username, &RESERVED))?;
        for (at, host) in self.hosts.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{host}")?;
        }
        write!(f, "/{}", utf8_percent_encode(&self.vhost, &RESERVED))
    }
}
