//! What a republished message keeps of the one it succeeds: its body and properties as they came, less the broker's
//! bookkeeping, plus one hop.

use std::time::{SystemTime, UNIX_EPOCH};

use super::headers;
use super::history::History;
use super::limits::TooLarge;
use crate::id::JobId;
use crate::message::{HeaderValue, Headers, Message};

/// The longest error text that goes into a header, in bytes.
const MAX_ERROR_TEXT: usize = 4_000;

/// The longest name of a queue or worker that goes into a header, in bytes.
const MAX_NAME_TEXT: usize = 255;

/// Why a message is published again.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Republish {
    /// The attempt failed and another follows.
    Retry {
        /// What went wrong.
        failure: Failure,
    },
    /// The same attempt comes again later; nothing failed. Snoozes and copies that reset the broker's delivery count.
    Again,
    /// It shall not be tried again.
    DeadLetter {
        /// What went wrong.
        failure: Failure,
    },
}

/// The record of a failure as it goes into headers.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// One word, see [`headers::FAILURE_REASON`].
    pub reason: &'static str,
    /// The error's text; it is shortened to 4,000 bytes.
    pub error: String,
    /// The queue that the job was consumed from; it is shortened to 255 bytes.
    pub queue: String,
    /// The worker's name; it is shortened to 255 bytes.
    pub worker: String,
    /// When it happened.
    pub at: SystemTime,
}

/// The successor of a message.
///
/// `id` becomes its `message_id`: for a message that had none this fixes the temporary one. `attempt` is the one that the
/// original was; a retry's successor is the next.
///
/// ```
/// use leveret::Message;
/// use leveret::envelope::{Failure, Incoming, Republish, republish};
///
/// let original = Message { body: b"{}".as_slice().into(), ..Message::default() };
/// let incoming = Incoming::read(&original)?;
/// let failure = Failure {
///     reason: "failed",
///     error: "the mail server is away".to_owned(),
///     queue: "mail".to_owned(),
///     worker: "mailer-1".to_owned(),
///     at: std::time::SystemTime::now(),
/// };
///
/// let successor = republish(&original, &incoming.id, incoming.attempt, &Republish::Retry { failure });
///
/// let next = Incoming::read(&successor)?;
/// assert_eq!((next.id, next.attempt, next.hop), (incoming.id, 2, Some(1)));
/// assert_eq!(successor.body, original.body);
/// # Ok::<(), leveret::envelope::DecodeError>(())
/// ```
#[must_use]
pub fn republish(original: &Message, id: &JobId, attempt: u32, why: &Republish) -> Message {
    let mut successor = original.clone();
    let properties = &mut successor.properties;
    properties.message_id = Some(id.text().clone());
    let table = &mut properties.headers;
    let of_this_message = |name: &str| matches!(name, headers::RESENT | headers::DUE);
    table.retain(|name, _| !headers::is_broker_bookkeeping(name) && !of_this_message(name));
    let hop = table
        .get(headers::HOP)
        .and_then(HeaderValue::as_int)
        .unwrap_or(0)
        .max(0);
    table.insert(
        headers::HOP.to_owned(),
        HeaderValue::Int(hop.saturating_add(1).min(i64::from(u32::MAX))),
    );
    match why {
        Republish::Retry { failure } => {
            table.insert(headers::ATTEMPT.to_owned(), attempt.saturating_add(1).into());
            record(table, attempt, failure);
        }
        Republish::Again => {
            table.insert(headers::ATTEMPT.to_owned(), attempt.into());
        }
        Republish::DeadLetter { failure } => {
            table.insert(headers::ATTEMPT.to_owned(), attempt.into());
            record(table, attempt, failure);
        }
    }
    successor
}

/// Tells whoever gets the message that it may not be the first copy: an earlier one was sent, and may be stored.
pub fn mark_resent(message: &mut Message) {
    let table = &mut message.properties.headers;
    table.insert(headers::RESENT.to_owned(), HeaderValue::Bool(true));
}

/// Writes into a message when it is due, to the millisecond: sent through the delay ladder, it arrives then, however late it is sent.
pub fn set_due(message: &mut Message, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let table = &mut message.properties.headers;
    table.insert(headers::DUE.to_owned(), HeaderValue::Int(millis));
}

fn record(table: &mut Headers, attempt: u32, failure: &Failure) {
    History::add(table, attempt, failure);
    let at = failure
        .at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    table.insert(headers::FAILURE_REASON.to_owned(), failure.reason.into());
    table.insert(
        headers::FAILURE_ERROR.to_owned(),
        shortened(&failure.error, MAX_ERROR_TEXT).into(),
    );
    table.insert(
        headers::FAILURE_QUEUE.to_owned(),
        shortened(&failure.queue, MAX_NAME_TEXT).into(),
    );
    table.insert(
        headers::FAILURE_WORKER.to_owned(),
        shortened(&failure.worker, MAX_NAME_TEXT).into(),
    );
    table.insert(headers::FAILURE_AT.to_owned(), HeaderValue::Int(at));
}

/// Makes a successor's header fit one frame. A message that kept to [`Limits`](super::Limits) when it was enqueued always
/// fits; one of a foreign producer may fill its frame so far that the history of its attempts does not: it loses as much of that as need be,
/// and then the text of the last failure.
///
/// # Errors
/// [`TooLarge::Header`] if it does not fit even so. Published, it would cost the whole connection: the original has to be
/// settled without a successor.
///
/// ```
/// use leveret::Message;
/// use leveret::envelope::{DEFAULT_FRAME_MAX, fit_header};
///
/// assert_eq!(fit_header(Message::default(), DEFAULT_FRAME_MAX), Ok(Message::default()));
/// ```
pub fn fit_header(mut successor: Message, frame_max: usize) -> Result<Message, TooLarge> {
    let excess = successor.header_size().saturating_sub(frame_max);
    if excess > 0 {
        History::shorten(&mut successor.properties.headers, excess);
    }
    if successor.header_size() > frame_max {
        successor.properties.headers.remove(headers::FAILURE_ERROR);
    }
    match successor.header_size() {
        size if size > frame_max => Err(TooLarge::Header { size, limit: frame_max }),
        _ => Ok(successor),
    }
}

pub(super) fn shortened(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Incoming;

    fn failure(error: &str) -> Failure {
        Failure {
            reason: "failed",
            error: error.to_owned(),
            queue: "mail".to_owned(),
            worker: "w1".to_owned(),
            at: UNIX_EPOCH,
        }
    }

    #[test]
    fn a_successor_keeps_the_message_but_not_the_brokers_bookkeeping() {
        let mut original = Message {
            body: bytes::Bytes::from_static(b"\xff\x00"),
            ..Message::default()
        };
        original.properties.reply_to = Some("answers".into());
        for name in [
            "x-death",
            "x-first-death-queue",
            "x-last-death-reason",
            "x-delivery-count",
            "CC",
            "leveret-resent",
        ] {
            original.properties.headers.insert(name.to_owned(), 1i64.into());
        }
        original.properties.headers.insert("tenant".to_owned(), "eu".into());

        let id = JobId::random();
        let successor = republish(
            &original,
            &id,
            3,
            &Republish::Retry {
                failure: failure("boom"),
            },
        );

        assert_eq!(successor.body, original.body);
        assert_eq!(successor.properties.reply_to.as_deref(), Some("answers"));
        assert_eq!(successor.properties.headers["tenant"], "eu".into());
        assert!(
            successor
                .properties
                .headers
                .keys()
                .all(|name| name == "tenant" || name.starts_with("leveret-"))
        );
        let incoming = Incoming::read(&successor).expect("own headers");
        assert_eq!(
            (incoming.id, incoming.attempt, incoming.hop, incoming.resent),
            (id, 4, Some(1), false)
        );
    }

    #[test]
    fn a_snooze_and_a_dead_letter_spend_no_attempt() {
        for why in [
            Republish::Again,
            Republish::DeadLetter {
                failure: failure("boom"),
            },
        ] {
            let successor = republish(&Message::default(), &JobId::random(), 3, &why);
            assert_eq!(Incoming::read(&successor).expect("own headers").attempt, 3);
        }
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let why = Republish::DeadLetter {
            failure: failure(&"ä".repeat(5_000)),
        };
        let successor = republish(&Message::default(), &JobId::random(), 1, &why);
        let text = successor.properties.headers[headers::FAILURE_ERROR]
            .as_text()
            .expect("text")
            .to_owned();
        assert!(text.len() <= MAX_ERROR_TEXT && text.chars().all(|c| c == 'ä'));
    }

    #[test]
    fn a_record_that_does_not_fit_goes_without_history_and_then_without_the_errors_text() {
        let why = Republish::DeadLetter {
            failure: failure("boom"),
        };
        let whole = republish(&Message::default(), &JobId::random(), 1, &why);
        let size = whole.header_size();

        assert_eq!(fit_header(whole.clone(), size), Ok(whole.clone()));
        let trimmed = fit_header(whole.clone(), size - 1).expect("fits without the history");
        assert!(!trimmed.properties.headers.contains_key(headers::HISTORY));
        assert_eq!(trimmed.properties.headers[headers::FAILURE_ERROR], "boom".into());
        let trimmed = fit_header(whole.clone(), trimmed.header_size() - 1).expect("fits without the text");
        assert!(!trimmed.properties.headers.contains_key(headers::FAILURE_ERROR));
        assert_eq!(trimmed.properties.headers[headers::FAILURE_REASON], "failed".into());
        let limit = trimmed.header_size() - 1;
        assert_eq!(
            fit_header(whole, limit),
            Err(TooLarge::Header { size: limit + 1, limit })
        );
    }

    #[test]
    fn the_largest_hop_and_attempt_do_not_overflow() {
        let mut original = Message::default();
        original
            .properties
            .headers
            .insert(headers::HOP.to_owned(), HeaderValue::Int(i64::MAX));
        let successor = republish(
            &original,
            &JobId::random(),
            u32::MAX,
            &Republish::Retry { failure: failure("x") },
        );
        let read = Incoming::read(&successor).expect("in range");
        assert_eq!((read.attempt, read.hop), (u32::MAX, Some(u32::MAX)));
    }
}
