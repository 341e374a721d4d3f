//! All that can be set about a connection, with its defaults.

use std::time::Duration;

use super::endpoint::Endpoint;
use super::env;
use super::error::InvalidOptions;
use super::settings::{Deadlines, LedgerLimits, TopologyMode};
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
/// password, vhost and the query's values are percent-encoded where they hold reserved characters.
///
/// `amqps://` is the same over TLS, port 5671, and needs the feature `rustls`. A build without it refuses the URL; nothing ever
/// falls back to plain text. `memory://` and `memory://name` mean a broker in this process's memory.
///
/// # All settings
///
/// [`ConnectOptions::from_env`] reads the variables. A deadline is a number of seconds there (`0.5`), an empty variable is not set.
///
/// | what | setter | URL | environment | default |
/// |---|---|---|---|---|
/// | where, and as whom | - | all of it | `AMQP_URL` | `amqp://guest:guest@localhost:5672/%2f` |
/// | user name, password | [`credentials`](Self::credentials), [`credentials_provider`](Self::credentials_provider) | `user:password@` | - | `guest`, `guest` |
/// | name that the operator sees | [`connection_name`](Self::connection_name) | `connection_name` | `LEVERET_CONNECTION_NAME` | `leveret` |
/// | heartbeat interval | [`heartbeat`](Self::heartbeat) | `heartbeat` (s) | `LEVERET_HEARTBEAT` (s) | 10 s |
/// | trusted CAs | [`ca_file`](Self::ca_file), [`ca_pem`](Self::ca_pem) | `cacertfile` | `LEVERET_CA_FILE` | the system's |
/// | own certificate and key | [`client_certificate_files`](Self::client_certificate_files), [`client_certificate_pem`](Self::client_certificate_pem) | `certfile`, `keyfile` | `LEVERET_CLIENT_CERT_FILE`, `LEVERET_CLIENT_KEY_FILE` | none |
/// | name in the broker's certificate | [`server_name`](Self::server_name) | `server_name_indication` | `LEVERET_SERVER_NAME` | the host |
/// | first connection, over all tries | [`startup_deadline`](Self::startup_deadline) | - | `LEVERET_STARTUP_DEADLINE` | 30 s |
/// | one try with one host, handshakes included | [`connect_deadline`](Self::connect_deadline) | `connection_timeout` (ms) | `LEVERET_CONNECT_DEADLINE` | 10 s |
/// | one request, such as a declaration | [`rpc_deadline`](Self::rpc_deadline) | - | `LEVERET_RPC_DEADLINE` | 15 s |
/// | confirm of a job | [`confirm_deadline`](Self::confirm_deadline) | - | `LEVERET_CONFIRM_DEADLINE` | 30 s |
/// | orderly close | [`close_deadline`](Self::close_deadline) | - | `LEVERET_CLOSE_DEADLINE` | 5 s |
/// | unconfirmed jobs held | [`ledger_jobs`](Self::ledger_jobs) | - | - | 10,000 |
/// | unconfirmed bytes held | [`ledger_bytes`](Self::ledger_bytes) | - | - | 64 MiB |
/// | missing queues and exchanges | [`topology`](Self::topology) | - | `LEVERET_TOPOLOGY`: `declare`, `minimal`, `verify`, `none` | `declare` |
/// | prefix of Leveret's own names | [`prefix`](Self::prefix) | - | `LEVERET_PREFIX` | `leveret` |
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

    /// Reads `AMQP_URL` (required) and the other variables of [the table](Self#all-settings).
    ///
    /// # Errors
    ///
    /// `AMQP_URL` is not set or is no URL for us, or another variable is set to what it cannot be. The text names the variable and never
    /// quotes it.
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
        env::from_lookup(|name| std::env::var_os(name))
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
        let seconds = interval
            .as_secs()
            .saturating_add(u64::from(interval.subsec_nanos() > 0));
        self.heartbeat = u16::try_from(seconds).unwrap_or(u16::MAX);
        self
    }

    /// How long [`Rabbit::connect`](crate::Rabbit::connect) and [`Producer::connect`](crate::Producer::connect) keep trying before they
    /// give up. By default 30 s. Workers, and whoever has connected once, never give up.
    #[must_use]
    pub fn startup_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.startup = deadline;
        self
    }

    /// How long connecting to one host may take, the handshakes of TLS and AMQP included. By default 10 s. A credentials provider has as
    /// long to answer.
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
