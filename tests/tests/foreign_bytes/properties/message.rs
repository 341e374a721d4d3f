//! A message read as a job, and published again for every reason.

use std::time::{Duration, UNIX_EPOCH};

use leveret::envelope::{
    DEFAULT_FRAME_MAX, DecodeError, Failure, History, Incoming, Republish, fit_header, headers, mark_resent, republish,
};
use leveret::{HeaderValue, Job, JobId, Message};
use serde::{Deserialize, Serialize};

use super::keeps_secret;
use super::source::{Source, foreign, is_bookkeeping};

/// A job with a field of each kind that JSON can get wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = "mail", name = "welcome")]
pub struct Welcome {
    /// A number of limited range.
    pub user_id: u64,
    /// May be missing.
    #[serde(default)]
    pub note: Option<String>,
    /// Nested.
    #[serde(default)]
    pub inner: Option<Box<Welcome>>,
}

/// Takes any input.
pub fn check(input: &[u8]) {
    holds(&Source::new(input).message());
}

/// What holds of one message.
pub fn holds(message: &Message) {
    let read = Incoming::read(message);
    match &read {
        Ok(incoming) => {
            assert!(incoming.attempt >= 1 && incoming.max_attempts != Some(0));
            assert!(incoming.timeout != Some(Duration::ZERO));
            assert!((1..=255).contains(&incoming.id.as_str().len()));
            assert_eq!(incoming.id.is_stable(), has_id(message));
        }
        Err(DecodeError::Header { header }) => assert!(message.properties.headers.contains_key(*header)),
        Err(other) => assert_eq!(*other, DecodeError::MessageId),
    }
    if let Err(error) = Incoming::job::<Welcome>(&message.body) {
        keeps_secret(&format!("{error} {error:?}"));
    }
    let id = read
        .as_ref()
        .map_or_else(|_| JobId::random(), |incoming| incoming.id.clone());
    let attempt = read.as_ref().map_or(1, |incoming| incoming.attempt);
    for why in reasons() {
        let successor = republish(message, &id, attempt, &why);
        is_successor(message, &successor, &id);
        if let Ok(before) = &read {
            reads_on(before, &successor, &why);
        }
        fits(&successor);
    }
}

fn has_id(message: &Message) -> bool {
    message
        .properties
        .message_id
        .as_deref()
        .is_some_and(|id| !id.is_empty())
}

/// Each way in which a message is published again.
pub fn reasons() -> [Republish; 3] {
    let failure = Failure {
        reason: "failed",
        error: "the mail server is away ".repeat(400),
        queue: "mail".repeat(100),
        worker: "ä".repeat(300),
        at: UNIX_EPOCH + Duration::from_millis(1_800_000_000_123),
    };
    [
        Republish::Again,
        Republish::Retry {
            failure: failure.clone(),
        },
        Republish::DeadLetter { failure },
    ]
}

/// What a successor is, whatever its original was.
pub fn is_successor(original: &Message, successor: &Message, id: &JobId) {
    let (before, after) = (&original.properties, &successor.properties);
    assert_eq!(successor.body, original.body);
    assert_eq!(after.message_id.as_deref(), Some(id.as_str()));
    assert_eq!(after.kind, before.kind);
    assert_eq!((after.timestamp, after.priority), (before.timestamp, before.priority));
    assert_eq!(
        (&after.content_type, &after.content_encoding, &after.correlation_id),
        (&before.content_type, &before.content_encoding, &before.correlation_id)
    );
    assert_eq!((&after.reply_to, &after.app_id), (&before.reply_to, &before.app_id));
    assert_eq!(foreign(successor), foreign(original));
    assert!(!after.headers.keys().any(|name| is_bookkeeping(name)));
    for gone in [headers::RESENT, headers::DUE] {
        assert!(!after.headers.contains_key(gone), "{gone} is of the original alone");
    }
    is_one_hop_on(original, successor);
}

/// The hop is raised, and stays in its range whatever it was.
pub fn is_one_hop_on(original: &Message, successor: &Message) {
    let hop = |message: &Message| {
        let table = &message.properties.headers;
        table.get(headers::HOP).and_then(HeaderValue::as_int)
    };
    let before = hop(original).unwrap_or(0).clamp(0, i64::from(u32::MAX) - 1);
    assert_eq!(hop(successor), Some(before + 1));
}

fn reads_on(before: &Incoming, successor: &Message, why: &Republish) {
    let after = Incoming::read(successor).expect("a readable message has a readable successor");
    assert_eq!(
        (&after.id, &after.name, after.resent),
        (&before.id, &before.name, false)
    );
    assert_eq!(
        (after.max_attempts, after.timeout),
        (before.max_attempts, before.timeout)
    );
    assert_eq!((after.expires, after.made_at), (before.expires, before.made_at));
    assert_eq!(after.delivery_count, 0);
    let expected = match why {
        Republish::Retry { .. } => before.attempt.saturating_add(1),
        _ => before.attempt,
    };
    assert_eq!(after.attempt, expected);
    if !matches!(why, Republish::Again) {
        let history = History::read(successor);
        let last = history.last().expect("the failure that has just been recorded");
        assert_eq!((last.attempt, last.reason.as_str()), (before.attempt, "failed"));
    }
    let mut again = successor.clone();
    mark_resent(&mut again);
    assert!(Incoming::read(&again).expect("as before").resent);
}

/// A header goes into a frame, or says that it does not; the body and what is not ours stay.
fn fits(successor: &Message) {
    for frame_max in [DEFAULT_FRAME_MAX, 4_096, successor.header_size().saturating_sub(1)] {
        if let Ok(fitted) = fit_header(successor.clone(), frame_max) {
            assert!(fitted.header_size() <= frame_max);
            assert_eq!(fitted.body, successor.body);
            assert_eq!(foreign(&fitted), foreign(successor));
        }
    }
}
