//! The record of attempts, as it stands in its header.

use leveret::Message;
use leveret::envelope::{History, Incoming, headers, republish};

use super::message::{is_successor, reasons};

/// The longest history that is ever written.
const BUDGET: usize = 8_192;

/// Takes any input.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let mut message = Message::default();
    message
        .properties
        .headers
        .insert(headers::HISTORY.to_owned(), text.into());
    let before = History::read(&message);
    let incoming = Incoming::read(&message).expect("a history is a record for people: it makes nothing unreadable");
    for why in reasons() {
        let successor = republish(&message, &incoming.id, incoming.attempt, &why);
        is_successor(&message, &successor, &incoming.id);
        let after = History::read(&successor);
        if matches!(why, leveret::envelope::Republish::Again) {
            assert_eq!(after, before, "nothing failed");
            continue;
        }
        let written = successor.properties.headers[headers::HISTORY]
            .as_text()
            .expect("a text");
        assert!(written.len() <= BUDGET, "{} bytes", written.len());
        assert_eq!(after.last().map(|last| last.attempt), Some(1), "the newest is the last");
        if let (Some(first), true) = (before.attempts().first(), after.attempts().len() > 1) {
            let same = first.attempt == after.attempts()[0].attempt && first.error == after.attempts()[0].error;
            assert!(same, "the first stays as long as there are two");
        }
    }
}
