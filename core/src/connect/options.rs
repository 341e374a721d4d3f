//! All that can be set about a connection, with its defaults.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::endpoint::{AmqpEndpoint, Endpoint, Host, Secret};
use super::error::InvalidOptions;
use super::settings::{Deadlines, LedgerLimits, TopologyMode};
use super::{env, uri};
use crate::name::check_queue;

/// Where to connect and how.
///
/// It is made from a URL, from the environment, or both, and refined by its setters. A setter wins over an environment
/// variable, that over the URL's query, and that over the default.
///
/// ```
/// use std::time::Duration;
/// use leveret::ConnectOptions;
///
/// let options: ConnectOptions = "amqp://app:s3cret@rabbit-1,rabbit-2:5673,[::1]/shop?heartbeat=5".parse()?;
/// let options = options.connection_name("mailer").confirm_deadline(Duration::from_secs(10));
/// assert_eq!(options.to_string(), "amqp://app:***@rabbit-1:5672,rabbit-2:5673,[::1]:5672/shop");
/// # Ok::<(), leveret::connect::InvalidOptions>(())
/// ```
///
/// # URLs
///
/// `amqp://user:password@host1,host2:5673,[::1]:5672/vhost?heartbeat=5`. Each part but the first host may be missing: user
/// and password are `guest`, the port is 5672, and both no vhost and an empty one mean `/` (as does `%2f`). User name,
/// password and vhost are percent-encoded where they hold reserved characters.
///
/// | query | meaning | default |
/// |---|---|---|
/// | `heartbeat` | heartbeat interval in seconds, see [`ConnectOptions::heartbeat`] | 10 |
/// | `connection_timeout` | deadline of connect and handshake in milliseconds, see [`ConnectOptions::connect_deadline`] | 10000 |
/// | `connection_name` | see [`ConnectOptions::connection_name`] | `leveret` |
///
/// `memory://` and `memory://name` mean a broker in this process's memory. `amqps://` is refused by a build without TLS; it
/// never falls back to plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    pub(super) endpoint: Endpoint,
    pub(super) name: String,
    /// In whole seconds, as the protocol has it.
    pub(super) heartbeat: u16,
    pub(super) deadlines: Deadlines,
    pub(super) ledger: LedgerLimits,
    pub(super) topology: TopologyMode,
    pub(super) prefix: String,
}

impl ConnectOptions {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            name: "leveret".to_owned(),
            heartbeat: 10,
            deadlines: Deadlines::default(),
            ledger: LedgerLimits::default(),
            topology: TopologyMode::default(),
            prefix: "leveret".to_owned(),
        }
    }

    /// Reads `AMQP_URL` (required) and `LEVERET_HEARTBEAT` (seconds).
    ///
    /// # Errors
    ///
    /// `AMQP_URL` is not set or is no URL for us, or `LEVERET_HEARTBEAT` is not a number from 0 to 65535.
    ///
    /// ```no_run
    /// use leveret::{ConnectOptions, Producer};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = Producer::connect(ConnectOptions::from_env()?.connection_name("shop")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_env() -> Result<Self, InvalidOptions> {
        env::from_lookup(|name| std::env::var(name).ok())
    }

    /// The name that the broker's operator sees beside the connection. By default `leveret`.
    #[must_use]
    pub fn connection_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The heartbeat interval, in whole seconds: a fraction is rounded up, and 65535 s is the most. A peer that is silent
    /// for two intervals is given up. By default 10 s; zero asks for none.
    ///
    /// The smaller of this and the broker's own value is used. RabbitMQ's client library takes zero as "whatever the broker
    /// proposes" (60 s unless configured), so heartbeats are really off only where the broker's own value is zero too.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        let seconds = interval.as_secs() + u64::from(interval.subsec_nanos() > 0);
        self.heartbeat = u16::try_from(seconds).unwrap_or(u16::MAX);
        self
    }

    /// How long connecting to one host may take, handshake included. By default 10 s.
    #[must_use]
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.connect = deadline;
        self
    }

    /// How long one request to the broker may take, such as a declaration. By default 15 s.
    #[must_use]
    pub fn rpc_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.rpc = deadline;
        self
    }

    /// How long a caller waits for the broker's confirm of a message. By default 30 s.
    #[must_use]
    pub fn confirm_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.confirm = deadline;
        self
    }

    /// How long closing a channel or a connection in order may take before it is cut. By default 5 s.
    #[must_use]
    pub fn close_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.close = deadline;
        self
    }

    /// How many unconfirmed jobs a producer holds at most. By default 10,000.
    #[must_use]
    pub fn ledger_jobs(mut self, jobs: usize) -> Self {
        self.ledger.jobs = jobs;
        self
    }

    /// How many bytes of unconfirmed jobs a producer holds at most. By default 64 MiB.
    #[must_use]
    pub fn ledger_bytes(mut self, bytes: usize) -> Self {
        self.ledger.bytes = bytes;
        self
    }

    /// Whether missing exchanges, queues and bindings are declared, only checked for, or neither. By default declared.
    ///
    /// ```
    /// use leveret::{ConnectOptions, TopologyMode};
    ///
    /// let options = ConnectOptions::default().topology(TopologyMode::Verify);
    /// assert_eq!(options.topology_mode(), TopologyMode::Verify);
    /// ```
    #[must_use]
    pub fn topology(mut self, mode: TopologyMode) -> Self {
        self.topology = mode;
        self
    }

    /// What the names of the exchanges and queues begin with that belong to Leveret itself rather than to one of your
    /// queues, such as `leveret.dead`. By default `leveret`. All programs that share queues must share it.
    ///
    /// # Errors
    ///
    /// The prefix is empty, longer than 64 bytes, holds a control character or begins with `amq.`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Result<Self, InvalidOptions> {
        let prefix = prefix.into();
        if prefix.len() > 64 || check_queue(&prefix).is_err() {
            return Err(InvalidOptions::new(
                "a prefix has 1 to 64 bytes, no control characters, and does not begin with `amq.`",
            ));
        }
        self.prefix = prefix;
        Ok(self)
    }

    /// The user name and password, where they do not come from the URL. A `memory://` broker has none and ignores them.
    #[must_use]
    pub fn credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        if let Endpoint::Amqp(amqp) = &mut self.endpoint {
            amqp.username = username.into();
            amqp.password = Secret(password.into());
        }
        self
    }

    /// Where the broker is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The name that the broker's operator sees.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The heartbeat interval in seconds.
    #[must_use]
    pub fn heartbeat_seconds(&self) -> u16 {
        self.heartbeat
    }

    /// The deadlines.
    #[must_use]
    pub fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// The limits of a producer's ledger.
    #[must_use]
    pub fn ledger_limits(&self) -> LedgerLimits {
        self.ledger
    }

    /// What is done about the topology.
    #[must_use]
    pub fn topology_mode(&self) -> TopologyMode {
        self.topology
    }

    /// The prefix of Leveret's own names.
    #[must_use]
    pub fn name_prefix(&self) -> &str {
        &self.prefix
    }
}

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
