//! What a message says of its job.

use leveret::envelope::{DecodeError, Incoming};
use leveret::{Message, Properties};

/// What a message says of its job. Where it cannot be read, as much as is needed to put it aside with its identity.
pub(crate) fn read(message: &Message) -> (Incoming, Option<DecodeError>) {
    let error = match Incoming::read(message) {
        Ok(incoming) => return (incoming, None),
        Err(error) => error,
    };
    let properties = &message.properties;
    for id in [properties.message_id.clone(), None] {
        let mut bare = Properties::default();
        bare.message_id = id;
        bare.kind.clone_from(&properties.kind);
        let bare = Message {
            properties: bare,
            ..Message::default()
        };
        if let Ok(incoming) = Incoming::read(&bare) {
            return (incoming, Some(error));
        }
    }
    unreachable!("a message without id and headers has nothing in it that could be wrong")
}
