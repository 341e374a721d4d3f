//! What goes wrong between us and a broker.

use std::fmt;

/// An error of the broker or of the way to it. It holds no credentials and no job bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerError {
    kind: BrokerErrorKind,
    text: String,
}

/// What kind of error it is, as far as anything is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokerErrorKind {
    /// The network, or the broker going away: it will heal.
    Transport,
    /// No answer within the deadline.
    Timeout,
    /// The broker refused the login or the vhost.
    Authentication,
    /// The two sides do not agree on TLS: a certificate that one of them does not accept, or that cannot be read.
    Tls,
    /// The user may not do this (AMQP 403).
    Permission,
    /// There is no such queue or exchange (AMQP 404).
    NotFound,
    /// The queue or exchange is there with other arguments, or is exclusive to another (AMQP 405, 406).
    Mismatch,
    /// A job was held for longer than the broker's `consumer_timeout`, so that it closed the channel (AMQP 406, RabbitMQ up to 4.2).
    Overdue,
    /// The broker closed the channel or connection over something that was sent (any other AMQP error).
    Protocol,
    /// It was closed from this side.
    Closed,
}

impl BrokerError {
    /// An error of a kind, with the words that a user reads.
    #[must_use]
    pub fn new(kind: BrokerErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> BrokerErrorKind {
        self.kind
    }

    /// Whether it has to do with who the two sides are and what we may do: a person has to change that. Such errors are retried more
    /// slowly, and end the wait for a first connection.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.kind,
            BrokerErrorKind::Authentication | BrokerErrorKind::Tls | BrokerErrorKind::Permission
        )
    }

    /// Whether it stays until a person changes something: a setting, a permission, what is declared. Anything else (no quorum at
    /// the moment, an internal error) may be gone at the next try.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        matches!(self.kind, BrokerErrorKind::Permission | BrokerErrorKind::Mismatch)
    }

    /// Whether something that we sent made the broker close the channel, rather than the network or an operator.
    #[must_use]
    pub fn is_our_doing(&self) -> bool {
        matches!(
            self.kind,
            BrokerErrorKind::Permission
                | BrokerErrorKind::NotFound
                | BrokerErrorKind::Mismatch
                | BrokerErrorKind::Protocol
        )
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for BrokerError {}
