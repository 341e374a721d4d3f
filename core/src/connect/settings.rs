//! The values behind the options, with their defaults.

use std::time::Duration;

/// How long each kind of waiting may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// Connecting to one host, handshake included. By default 10 s.
    pub connect: Duration,
    /// One request to the broker, such as a declaration. By default 15 s.
    pub rpc: Duration,
    /// The broker's confirm of one message. By default 30 s.
    pub confirm: Duration,
    /// Closing a channel or a connection in order. By default 5 s.
    pub close: Duration,
    /// The first connection, as `Rabbit::connect` waits for it, over any number of tries. By default 30 s.
    pub startup: Duration,
}

/// How much a producer holds that the broker has not confirmed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerLimits {
    /// Jobs. By default 10,000.
    pub jobs: usize,
    /// Bytes, bodies and properties together. By default 64 MiB.
    pub bytes: usize,
}

/// What Leveret does about the exchanges, queues and bindings that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TopologyMode {
    /// Declares what is missing and checks the rest. The default.
    #[default]
    Declare,
    /// Declares what is missing with as few arguments as there can be (a queue's type), and leaves all others to policies,
    /// which an operator can change while a queue lives. The commands that set them are logged when a producer or worker first uses a queue, and
    /// [`Topology::policies`](crate::topology::Topology::policies) gives them.
    ///
    /// They have to be set before the first job: without them a full queue drops jobs, and a job that keeps crashing its
    /// worker is dropped at the broker's own limit. Policies cannot be seen over AMQP, so nothing checks them; Leveret itself
    /// leaves no dead letter to the broker in this mode (unless the queue says [`DeadLetter::Nack`](crate::DeadLetter::Nack)).
    Minimal,
    /// Creates nothing: checks that all is there and as it should be. Bindings cannot be seen over AMQP, nor can settings by a
    /// user who may not `configure` them: what could not be checked is logged as unverified. As in [`TopologyMode::None`], no
    /// dead letter is left to the broker.
    Verify,
    /// Neither declares nor checks: reading and writing is all that the user must be allowed. As nobody knows what stands
    /// behind the queue, no dead letter is left to the broker (unless the queue says
    /// [`DeadLetter::Nack`](crate::DeadLetter::Nack)): where its copy cannot be stored, the job is held until it can.
    None,
}

impl TopologyMode {
    /// Whether what is missing is declared.
    pub(crate) fn declares(self) -> bool {
        matches!(self, Self::Declare | Self::Minimal)
    }

    /// The mode by its name: `declare`, `minimal`, `verify` or `none`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "declare" => Some(Self::Declare),
            "minimal" => Some(Self::Minimal),
            "verify" => Some(Self::Verify),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            rpc: Duration::from_secs(15),
            confirm: Duration::from_secs(30),
            close: Duration::from_secs(5),
            startup: Duration::from_secs(30),
        }
    }
}

impl Default for LedgerLimits {
    fn default() -> Self {
        Self {
            jobs: 10_000,
            bytes: 64 * 1024 * 1024,
        }
    }
}
