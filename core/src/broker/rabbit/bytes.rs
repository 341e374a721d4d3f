//! Properties as the client library reads and writes them, without a connection: for the fuzz targets.

use lapin::protocol::basic::{gen_properties, parse_properties};

use super::convert;
use crate::broker::{BrokerError, BrokerErrorKind};
use crate::message::Properties;

pub(crate) fn read(bytes: &[u8]) -> Option<Properties> {
    let (_rest, properties) = parse_properties(bytes).ok()?;
    Some(convert::from_amqp(&properties))
}

pub(crate) fn write(properties: &Properties) -> Result<Vec<u8>, BrokerError> {
    let amqp = convert::to_amqp(properties)?;
    let written = gen_properties(&amqp)(Vec::new().into());
    match written {
        Ok(context) => Ok(context.write),
        Err(_) => Err(BrokerError::new(
            BrokerErrorKind::Protocol,
            "the properties cannot be written",
        )),
    }
}
