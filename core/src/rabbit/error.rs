//! Why there is no connection: [`ConnectError`].

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use crate::broker::BrokerError;
use crate::connect::InvalidOptions;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Options(InvalidOptions),
    Broker(BrokerError),
    /// Not within this time; and what went wrong last, if a try has ended.
    Late(Duration, Option<BrokerError>),
    NoRuntime,
    FeatureOff,
}

impl ConnectError {
    pub(super) fn broker(error: BrokerError) -> Self {
        Self(Kind::Broker(error))
    }

    pub(super) fn late(deadline: Duration, last: Option<BrokerError>) -> Self {
        Self(Kind::Late(deadline, last))
    }

    pub(super) fn feature_off() -> Self {
        Self(Kind::FeatureOff)
    }

    pub(super) fn no_runtime() -> Self {
        Self(Kind::NoRuntime)
    }

    /// Whether the broker refused the login or the vhost, or one of the two sides the other's certificate: a person has to change something.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(&self.0, Kind::Broker(error) if error.is_refusal())
    }

    /// Whether the URL or a setting cannot be used.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self.0, Kind::Options(_) | Kind::FeatureOff)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Options(error) => write!(f, "the connect options cannot be used: {error}"),
            Kind::Broker(error) => error.fmt(f),
            Kind::Late(deadline, Some(error)) => write!(f, "no connection within {deadline:?}, at last because: {error}"),
            Kind::Late(deadline, None) => write!(f, "no connection within {deadline:?}, and no answer either"),
            Kind::NoRuntime => {
                f.write_str("no Tokio runtime is running here; call it inside #[tokio::main] or Runtime::block_on")
            }
            Kind::FeatureOff => f.write_str(
                "this scheme needs a feature of `leveret` that is off: `rabbitmq` for amqp://, `rustls` for amqps://, `memory` for memory://",
            ),
        }
    }
}

impl std::error::Error for ConnectError {}

impl From<InvalidOptions> for ConnectError {
    fn from(error: InvalidOptions) -> Self {
        Self(Kind::Options(error))
    }
}

impl From<Infallible> for ConnectError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
