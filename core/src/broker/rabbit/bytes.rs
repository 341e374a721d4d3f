//! Properties as the client library reads and writes them, without a connection: for the fuzz targets.

use lapin::protocol::basic::{gen_properties, parse_properties};

use super::{convert, screen};
use crate::broker::{BrokerError, BrokerErrorKind};
use crate::message::Properties;

pub(crate) fn read(bytes: &[u8]) -> Option<Properties> {
    // Class, weight and the body's size stand before them.
    let payload = [&[0; 12], bytes].concat();
    let payload = screen::mended(&payload).unwrap_or(payload);
    let (rest, properties) = parse_properties(&payload[12..]).ok()?;
    rest.is_empty().then(|| convert::from_amqp(&properties))
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
