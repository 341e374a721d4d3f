//! A build without TLS.

use std::io;

use tokio::net::TcpStream;

use super::Stream;
use crate::broker::{BrokerError, BrokerErrorKind};
use crate::connect::{AmqpEndpoint, Host};

/// There is none of these.
pub(in crate::broker::rabbit) enum Tls {}

/// Nor of these.
pub(in crate::broker::rabbit) enum Connector {}

impl Tls {
    /// # Errors
    ///
    /// The connection is to be encrypted: it is never opened unencrypted instead.
    pub(in crate::broker::rabbit) fn of(endpoint: &AmqpEndpoint) -> Result<Option<Self>, BrokerError> {
        if endpoint.is_encrypted() {
            let text = "amqps:// needs the feature `rustls` of leveret, which this build does not have";
            return Err(BrokerError::new(BrokerErrorKind::Tls, text));
        }
        Ok(None)
    }

    pub(in crate::broker::rabbit) fn connector(&self, _: &Host) -> Result<Connector, BrokerError> {
        match *self {}
    }

    pub(in crate::broker::rabbit) fn explain(&self, _: &io::Error) -> Option<BrokerError> {
        match *self {}
    }
}

impl Connector {
    #[expect(clippy::unused_async, reason = "as where there is TLS")]
    pub(in crate::broker::rabbit) async fn encrypt(self, _: TcpStream) -> io::Result<Stream> {
        match self {}
    }
}
