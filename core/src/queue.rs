//! Where jobs wait: the definition of a [`Queue`].

use std::hash::{Hash, Hasher};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::name::{NameError, check_queue};
use crate::text::Text;

/// The delivery limit of a work queue unless set: a backstop against jobs that crash their worker, far above anything
/// that healthy restarts cause.
pub const DEFAULT_DELIVERY_LIMIT: u32 = 100;

/// The definition of a work queue. Producers and workers that name the same queue must agree on all of it: RabbitMQ
/// refuses a second declaration with other arguments.
///
/// ```
/// use leveret::{DeadLetter, Queue, QueueKind};
///
/// const MAIL: Queue = Queue::new("mail");
/// const THUMBNAILS: Queue = Queue::new("thumbnails").classic();
/// const BILLING: Queue = Queue::new("billing").delivery_limit(500).dead_letter(DeadLetter::Nack);
///
/// const BOUNDED: Queue = Queue::new("bounded").max_length(10_000);
///
/// assert_eq!(MAIL.name(), "mail");
/// assert_eq!((MAIL.kind(), MAIL.dead_letter_mode()), (QueueKind::Quorum, DeadLetter::Annotated));
/// assert!(THUMBNAILS.is_classic());
/// assert_eq!(BILLING.limit_of_deliveries(), 500);
/// assert_eq!(BOUNDED.limit_of_messages(), Some(10_000));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    #[serde(deserialize_with = "checked_name")]
    name: Text,
    kind: QueueKind,
    delivery_limit: u32,
    max_length: Option<u32>,
    dead_letter: DeadLetter,
}

/// A queue that is read back, as part of a stored envelope, keeps to the rules as well.
fn checked_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
    let name = String::deserialize(deserializer)?;
    check_queue(&name).map_err(D::Error::custom)?;
    Ok(name.into())
}

/// How RabbitMQ stores a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum QueueKind {
    /// Replicated: a confirm means that a majority of the queue's members has the message on disk. The default.
    Quorum,
    /// On one node only, with the lower latency. Jobs are lost with that node's disk.
    Classic,
}

/// How a job that shall not be tried again reaches its dead-letter queue (`<queue>.dead`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DeadLetter {
    /// A copy with the record of the failure in its headers is published and confirmed, then the job is acked. Where
    /// the copy cannot be confirmed, a quorum queue falls back to [`DeadLetter::Nack`]; a classic queue holds the job.
    Annotated,
    /// The job is rejected (`basic.nack`, `requeue = false`) and the broker moves it: no round trip, but no record of
    /// the failure either, only the broker's own `x-death`. Quorum queues only: a classic queue dead-letters at most
    /// once, so there it is treated as [`DeadLetter::Annotated`].
    Nack,
}

impl Hash for Queue {
    /// By the name alone, which is quick; hardly ever has one name two definitions.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Queue {
    /// A quorum queue with the default settings.
    ///
    /// # Panics
    /// If the name is empty, longer than 180 bytes, begins with `amq.` or contains a control character. In a `const`,
    /// where queues belong, that is a compile error:
    ///
    /// ```compile_fail
    /// const BAD: leveret::Queue = leveret::Queue::new("amq.mine");
    /// ```
    ///
    /// For a name that is known only at run time use [`Queue::named`].
    #[must_use]
    #[track_caller]
    pub const fn new(name: &'static str) -> Self {
        match check_queue(name) {
            Ok(()) => Self::with_defaults(Text::from_static(name)),
            Err(error) => panic!("{}", error.reason()),
        }
    }

    /// A quorum queue whose name is known only at run time: a tenant's, a staging prefix.
    ///
    /// # Errors
    /// [`NameError`] if RabbitMQ, or the names derived from this one, could not carry it.
    ///
    /// ```
    /// use leveret::Queue;
    ///
    /// let queue = Queue::named(format!("tenant-{}", 7))?;
    /// assert_eq!(queue.name(), "tenant-7");
    /// assert!(Queue::named("x".repeat(181)).is_err());
    /// # Ok::<(), leveret::NameError>(())
    /// ```
    pub fn named(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        check_queue(&name)?;
        Ok(Self::with_defaults(name.into()))
    }

    const fn with_defaults(name: Text) -> Self {
        Self {
            name,
            kind: QueueKind::Quorum,
            delivery_limit: DEFAULT_DELIVERY_LIMIT,
            max_length: None,
            dead_letter: DeadLetter::Annotated,
        }
    }

    /// Makes it a classic queue: not replicated. See the guarantee table in the README for what that gives up.
    #[must_use]
    pub const fn classic(mut self) -> Self {
        self.kind = QueueKind::Classic;
        self
    }

    /// How many failed deliveries (a worker that dies, a lost connection) the broker allows one message before it
    /// dead-letters it by itself. 100 by default. It is unrelated to `max_attempts`: each retry is a new message.
    #[must_use]
    pub const fn delivery_limit(mut self, deliveries: u32) -> Self {
        self.delivery_limit = deliveries;
        self
    }

    /// Bounds the queue to about this many messages; beyond it the broker refuses publishes (`reject-publish`) and
    /// `Producer::enqueue` reports the job as refused. Unbounded by default.
    #[must_use]
    pub const fn max_length(mut self, messages: u32) -> Self {
        self.max_length = Some(messages);
        self
    }

    /// How jobs that shall not be tried again reach the dead-letter queue. [`DeadLetter::Annotated`] by default.
    #[must_use]
    pub const fn dead_letter(mut self, mode: DeadLetter) -> Self {
        self.dead_letter = mode;
        self
    }

    /// The name, to be kept.
    #[cfg(feature = "_runtime")]
    pub(crate) fn shared_name(&self) -> Text {
        self.name.clone()
    }

    /// The name of the queue in RabbitMQ.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a classic queue rather than a quorum queue.
    #[must_use]
    pub const fn is_classic(&self) -> bool {
        matches!(self.kind, QueueKind::Classic)
    }

    /// How RabbitMQ stores the queue.
    #[must_use]
    pub const fn kind(&self) -> QueueKind {
        self.kind
    }

    /// The broker's limit of failed deliveries; see [`Queue::delivery_limit`].
    #[must_use]
    pub const fn limit_of_deliveries(&self) -> u32 {
        self.delivery_limit
    }

    /// The bound set with [`Queue::max_length`], in messages.
    #[must_use]
    pub const fn limit_of_messages(&self) -> Option<u32> {
        self.max_length
    }

    /// How dead letters of this queue are made: what was set, except that a classic queue always annotates.
    #[must_use]
    pub const fn dead_letter_mode(&self) -> DeadLetter {
        match self.kind {
            QueueKind::Classic => DeadLetter::Annotated,
            QueueKind::Quorum => self.dead_letter,
        }
    }
}

impl std::fmt::Display for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_classic_queue_always_annotates_its_dead_letters() {
        const QUEUE: Queue = Queue::new("q").dead_letter(DeadLetter::Nack).classic();
        assert_eq!(QUEUE.dead_letter_mode(), DeadLetter::Annotated);
        assert_eq!(
            Queue::new("q").dead_letter(DeadLetter::Nack).dead_letter_mode(),
            DeadLetter::Nack
        );
    }

    #[test]
    fn a_queue_survives_a_trip_through_json() {
        let queue = Queue::named("tenant-7").expect("valid").max_length(5);
        let json = serde_json::to_string(&queue).expect("plain data");
        assert_eq!(serde_json::from_str::<Queue>(&json).expect("own output"), queue);
    }

    #[test]
    fn a_stored_queue_with_a_name_that_cannot_travel_is_refused() {
        let json = serde_json::to_string(&Queue::new("mail")).expect("plain data");
        for name in ["", "amq.mail", "two\\nlines", &"q".repeat(181)] {
            let tampered = json.replace("mail", name);
            assert!(serde_json::from_str::<Queue>(&tampered).is_err(), "{tampered}");
        }
    }
}
