//! Why a job could not be fetched or settled: [`FetchError`].

use std::fmt;

use leveret::broker::BrokerError;
use leveret::topology::TopologyError;
use leveret::{ConnectError, JobId};

/// Why a job could not be fetched or settled.
#[derive(Debug, Clone)]
pub struct FetchError(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Source(String),
    Connect(ConnectError),
    Topology { queue: String, error: TopologyError },
    Down { queue: String, error: Option<BrokerError> },
    TooMany { queue: String, limit: usize },
    Stale { job: JobId },
    Gone { job: JobId },
    Closed,
}

impl FetchError {
    pub(super) fn source(problem: String) -> Self {
        Self(Kind::Source(problem))
    }

    pub(super) fn connect(error: ConnectError) -> Self {
        Self(Kind::Connect(error))
    }

    pub(super) fn topology(queue: &str, error: TopologyError) -> Self {
        let queue = queue.to_owned();
        Self(Kind::Topology { queue, error })
    }

    pub(super) fn down(queue: &str, error: Option<BrokerError>) -> Self {
        let queue = queue.to_owned();
        Self(Kind::Down { queue, error })
    }

    pub(super) fn too_many(queue: &str, limit: usize) -> Self {
        let queue = queue.to_owned();
        Self(Kind::TooMany { queue, limit })
    }

    pub(super) fn stale(job: &JobId) -> Self {
        Self(Kind::Stale { job: job.clone() })
    }

    pub(super) fn gone(job: &JobId) -> Self {
        Self(Kind::Gone { job: job.clone() })
    }

    pub(super) fn closed() -> Self {
        Self(Kind::Closed)
    }

    /// Whether the job is no longer this program's, because its connection was lost or its fetcher is gone: it will be delivered again.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self.0, Kind::Stale { .. } | Kind::Gone { .. })
    }

    /// Whether the queue is not there as this program needs it.
    #[must_use]
    pub fn is_topology(&self) -> bool {
        matches!(self.0, Kind::Topology { .. })
    }

    /// Whether there is no connection to the broker. Fetching again tries again.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self.0, Kind::Source(_) | Kind::Connect(_) | Kind::Down { .. })
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Source(problem) => write!(f, "the fetcher cannot connect: {problem}"),
            Kind::Connect(error) => write!(f, "the fetcher cannot connect: {error}"),
            Kind::Topology { queue, error } => write!(f, "nothing can be fetched from the queue `{queue}`: {error}"),
            Kind::Down {
                queue,
                error: Some(error),
            } => {
                write!(
                    f,
                    "nothing could be fetched from the queue `{queue}`, tried for 30 seconds at the most: {error}"
                )
            }
            Kind::Down { queue, error: None } => {
                write!(
                    f,
                    "nothing could be fetched from the queue `{queue}`: there is no connection to the broker"
                )
            }
            Kind::TooMany { queue, limit } => write!(
                f,
                "{limit} jobs of the queue `{queue}` are fetched and not settled: settle some before the next is fetched"
            ),
            Kind::Stale { job } => write!(
                f,
                "the connection that the job {job} was fetched on is lost: the job will be delivered again, unless its settlement arrived \
                 just before"
            ),
            Kind::Gone { job } => write!(
                f,
                "the fetcher of the job {job} was closed before the job was settled: the job will be delivered again"
            ),
            Kind::Closed => f.write_str("the fetcher is closed"),
        }
    }
}

impl std::error::Error for FetchError {}
