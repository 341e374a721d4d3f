//! What names one message of one job: [`Key`].

use leveret::JobId;
use leveret::envelope::Incoming;

/// One message: its job's id and which republish it is. Only messages that Leveret published have one: a foreign
/// producer may use an id for many messages, and then one must never be taken for another. For the same reason the time at which the
/// job was made belongs to it: an application may use an id again, though it should not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    id: JobId,
    hop: u32,
    made_at: Option<u64>,
}

impl Key {
    /// The key of a message, if it has one.
    pub(crate) fn of(incoming: &Incoming) -> Option<Self> {
        let hop = incoming.hop?;
        incoming.id.is_stable().then(|| Self {
            id: incoming.id.clone(),
            hop,
            made_at: incoming.made_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use leveret::{HeaderValue, Message};

    use super::*;

    fn message(id: Option<&str>, hop: Option<i64>) -> Incoming {
        let mut message = Message::default();
        message.properties.message_id = id.map(Into::into);
        if let Some(hop) = hop {
            message
                .properties
                .headers
                .insert(leveret::envelope::headers::HOP.to_owned(), HeaderValue::Int(hop));
        }
        Incoming::read(&message).expect("valid headers")
    }

    #[test]
    fn only_messages_with_an_id_and_our_hop_have_a_key() {
        for (id, hop, has_one) in [
            (Some("a"), Some(0), true),
            (Some("a"), None, false),
            (None, Some(0), false),
            (None, None, false),
        ] {
            assert_eq!(Key::of(&message(id, hop)).is_some(), has_one, "{id:?} {hop:?}");
        }
    }

    #[test]
    fn another_hop_is_another_message() {
        let key = |hop| Key::of(&message(Some("a"), Some(hop)));
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
    }

    #[test]
    fn an_id_that_is_used_again_is_another_message() {
        let made = |at| {
            let mut incoming = message(Some("a"), Some(0));
            incoming.made_at = at;
            Key::of(&incoming)
        };
        assert_eq!(made(Some(1)), made(Some(1)));
        assert_ne!(made(Some(1)), made(Some(2)));
        assert_ne!(made(Some(1)), made(None));
    }
}
