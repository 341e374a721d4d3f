//! Why a worker could not run: [`RunError`].

use std::fmt;
use std::net::SocketAddr;

use leveret::ConnectError;
use leveret::broker::BrokerError;
use leveret::topology::TopologyError;

/// Why a worker could not run.
#[derive(Debug, Clone)]
pub struct RunError(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Connect(ConnectError),
    Topology { queue: String, error: TopologyError },
    Signals(String),
    Depth { queue: String, error: BrokerError },
    Endpoint { addresses: String, error: String },
}

impl RunError {
    pub(crate) fn connect(error: ConnectError) -> Self {
        Self(Kind::Connect(error))
    }

    pub(crate) fn topology(queue: String, error: TopologyError) -> Self {
        Self(Kind::Topology { queue, error })
    }

    pub(crate) fn signals(error: &std::io::Error) -> Self {
        Self(Kind::Signals(error.to_string()))
    }

    pub(crate) fn depth(queue: String, error: BrokerError) -> Self {
        Self(Kind::Depth { queue, error })
    }

    pub(crate) fn endpoint(addresses: &[SocketAddr], error: &std::io::Error) -> Self {
        let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        Self(Kind::Endpoint {
            addresses: addresses.join(", "),
            error: error.to_string(),
        })
    }

    /// Whether the health endpoint cannot listen where it shall.
    #[must_use]
    pub fn is_endpoint(&self) -> bool {
        matches!(self.0, Kind::Endpoint { .. })
    }

    /// Whether a queue is not there as this worker needs it.
    #[must_use]
    pub fn is_topology(&self) -> bool {
        matches!(self.0, Kind::Topology { .. })
    }

    /// Whether the connection options cannot be used.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self.0, Kind::Connect(_))
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Connect(error) => write!(f, "the worker cannot connect: {error}"),
            Kind::Topology { queue, error } => write!(f, "the worker cannot consume the queue `{queue}`: {error}"),
            Kind::Signals(error) => write!(f, "the worker cannot listen to signals: {error}"),
            Kind::Depth { queue, error } => write!(
                f,
                "the worker cannot drain the queue `{queue}`, because the broker does not say how full it is: {error}"
            ),
            Kind::Endpoint { addresses, error } => write!(
                f,
                "the worker cannot listen for health probes on {addresses}: {error}. If the address is in use, another program has it, or another \
                 worker of this process: give each an address of its own with `.health_endpoint(…)`"
            ),
        }
    }
}

impl std::error::Error for RunError {}
