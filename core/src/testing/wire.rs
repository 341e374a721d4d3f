//! Properties as bytes, for Leveret's own fuzz targets. No part of the API: it may change in any version.

use crate::broker::BrokerError;
use crate::broker::rabbit::bytes;
use crate::message::Properties;

/// What a worker reads of the properties in a content header frame; `None`: the client library cannot read them.
#[must_use]
pub fn read_properties(bytes: &[u8]) -> Option<Properties> {
    bytes::read(bytes)
}

/// The properties as they are written into such a frame.
///
/// # Errors
/// A name or a property is longer than AMQP allows.
pub fn write_properties(properties: &Properties) -> Result<Vec<u8>, BrokerError> {
    bytes::write(properties)
}
