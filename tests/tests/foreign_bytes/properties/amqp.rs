//! Properties and headers, as they come over the wire.

use leveret::envelope::Incoming;
use leveret::testing::wire;
use leveret::{DeadLetterRecord, Message};

/// Takes any input: the properties of a content header frame, as AMQP 0-9-1 writes them.
pub fn check(input: &[u8]) {
    let Some(properties) = wire::read_properties(input) else {
        return;
    };
    let message = Message {
        properties,
        ..Message::default()
    };
    let _readable_or_not = Incoming::read(&message);
    let _whatever_it_says = DeadLetterRecord::read(&message);
    let written = wire::write_properties(&message.properties).expect("what came over the wire can go there");
    // 8 bytes of frame, 12 of class, weight and the body's size.
    let frame = written.len() + 20;
    assert!(
        frame <= message.header_size(),
        "{frame} bytes, counted as {}",
        message.header_size()
    );
    let again = wire::read_properties(&written).expect("what was written can be read");
    let rewritten = wire::write_properties(&again).expect("as before");
    assert_eq!(written, rewritten, "what was read is what was written");
}
