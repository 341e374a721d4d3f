//! Jobs in hand whose lease was lost: [`Orphans`]. Pure.

use std::collections::HashMap;

use super::key::Key;

/// The jobs in hand that the broker will deliver again, by the message that they are. A redelivery joins the job here instead of
/// running it a second time beside the first.
///
/// A job enters when its lease is lost or in doubt and not when it starts: nearly all of them are settled without.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    numbers: HashMap<Key, u64>,
}

impl Orphans {
    /// The lease of job `number` was lost, or may be.
    pub(crate) fn add(&mut self, key: Key, number: u64) {
        // Two copies of one message can be in hand at once (a resend). Either may be joined; the first is likelier done.
        self.numbers.entry(key).or_insert(number);
    }

    /// A redelivery came: the job that it joins, which is no orphan from now on.
    pub(crate) fn adopt(&mut self, key: &Key) -> Option<u64> {
        self.numbers.remove(key)
    }

    /// Job `number` is no longer in hand.
    pub(crate) fn forget(&mut self, key: &Key, number: u64) {
        if self.numbers.get(key) == Some(&number) {
            self.numbers.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use leveret::Message;
    use leveret::envelope::{Incoming, headers};

    use super::*;

    fn key(hop: u32) -> Key {
        let mut message = Message::default();
        message.properties.message_id = Some("job".into());
        message.properties.headers.insert(headers::HOP.to_owned(), hop.into());
        Key::of(&Incoming::read(&message).expect("valid")).expect("id and hop")
    }

    #[test]
    fn a_redelivery_joins_its_own_message_once() {
        let mut orphans = Orphans::default();
        orphans.add(key(0), 7);

        assert_eq!(orphans.adopt(&key(1)), None, "another hop is another message");
        assert_eq!(orphans.adopt(&key(0)), Some(7));
        assert_eq!(orphans.adopt(&key(0)), None);
    }

    #[test]
    fn the_end_of_one_copy_does_not_forget_the_other() {
        let mut orphans = Orphans::default();
        orphans.add(key(0), 7);
        orphans.add(key(0), 8);

        orphans.forget(&key(0), 8);
        assert_eq!(orphans.adopt(&key(0)), Some(7));

        orphans.add(key(0), 7);
        orphans.forget(&key(0), 7);
        assert_eq!(orphans.adopt(&key(0)), None);
    }
}
