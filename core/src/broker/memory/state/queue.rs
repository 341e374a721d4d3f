//! One queue: its settings, its messages in order, its line of consumers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ConsumerId;
use crate::broker::Destination;
use crate::broker::topology::{Argument, Arguments};
use crate::message::{HeaderValue, Message};

/// How many dead letters a queue has on the way at once; more wait behind them.
const DEAD_LETTERS_ON_THE_WAY: usize = 32;

/// A message as it was published.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) message: Message,
    pub(crate) destination: Destination,
}

/// A message in a queue.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) posted: Arc<Posted>,
    position: u64,
    failures: u32,
    /// When the queue gives it up, where the queue has a time limit for its messages.
    expires_at: Option<Duration>,
}

impl Entry {
    pub(crate) fn is_redelivered(&self) -> bool {
        self.failures > 0
    }
}

/// What the arguments of a queue come to.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) quorum: bool,
    pub(crate) delivery_limit: Option<u32>,
    pub(crate) dead_letter_exchange: Option<String>,
    pub(crate) dead_letter_key: Option<String>,
    pub(crate) at_least_once: bool,
    pub(crate) max_length: Option<usize>,
    pub(crate) refuses: bool,
    /// How long a message may wait here.
    pub(crate) message_ttl: Option<Duration>,
    /// Only the oldest consumer gets deliveries.
    pub(crate) single_active: bool,
}

impl Settings {
    pub(crate) fn of(arguments: &Arguments) -> Self {
        let text = |name: &str| match arguments.get(name) {
            Some(Argument::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let number = |name: &str| match arguments.get(name) {
            Some(Argument::Int(number)) => Some(*number),
            _ => None,
        };
        let quorum = text("x-queue-type").as_deref() == Some("quorum");
        let refuses = text("x-overflow").as_deref() == Some("reject-publish");
        let dead_letter_exchange = text("x-dead-letter-exchange");
        // Where one of these is missing RabbitMQ falls back to at-most-once without a word.
        let at_least_once = quorum
            && refuses
            && dead_letter_exchange.is_some()
            && text("x-dead-letter-strategy").as_deref() == Some("at-least-once");
        Self {
            quorum,
            delivery_limit: number("x-delivery-limit").and_then(|limit| u32::try_from(limit).ok()),
            dead_letter_exchange,
            dead_letter_key: text("x-dead-letter-routing-key"),
            at_least_once,
            max_length: number("x-max-length").and_then(|length| usize::try_from(length).ok()),
            refuses,
            message_ttl: number("x-message-ttl")
                .and_then(|millis| u64::try_from(millis).ok())
                .map(Duration::from_millis),
            single_active: arguments.get("x-single-active-consumer") == Some(&Argument::Bool(true)),
        }
    }
}

/// One queue.
#[derive(Debug)]
pub(crate) struct QueueState {
    pub(crate) arguments: Arguments,
    pub(crate) settings: Settings,
    pub(crate) unacked: usize,
    pub(crate) graves: Graves,
    pub(crate) line: Line,
    backlog: Backlog,
}

impl QueueState {
    pub(crate) fn new(arguments: Arguments) -> Self {
        Self {
            settings: Settings::of(&arguments),
            arguments,
            unacked: 0,
            graves: Graves::default(),
            line: Line::default(),
            backlog: Backlog::default(),
        }
    }

    pub(crate) fn ready(&self) -> usize {
        self.backlog.len()
    }

    /// Whether the next publish is refused. A quorum queue notices only once it is over its limit.
    pub(crate) fn is_full(&self) -> bool {
        let Some(limit) = self.settings.max_length.filter(|_| self.settings.refuses) else {
            return false;
        };
        if self.settings.quorum {
            self.ready() + self.graves.len() > limit
        } else {
            self.ready() >= limit
        }
    }

    /// Takes the oldest message that a queue without `reject-publish` has too much.
    pub(crate) fn overflow(&mut self) -> Option<Entry> {
        let limit = self.settings.max_length.filter(|_| !self.settings.refuses)?;
        (self.ready() > limit).then(|| self.backlog.pop()).flatten()
    }

    /// Takes a message in, and tells when it will expire.
    pub(crate) fn push(&mut self, posted: Arc<Posted>, now: Duration) -> Option<Duration> {
        let expires_at = self.settings.message_ttl.map(|ttl| now + ttl);
        self.backlog.push(posted, 0, expires_at);
        expires_at
    }

    /// Takes the next message, if its time is over. Those behind it are not looked at, as in RabbitMQ.
    pub(crate) fn pop_expired(&mut self, now: Duration) -> Option<Entry> {
        let expires_at = self.backlog.front()?.expires_at?;
        (expires_at <= now).then(|| self.backlog.pop()).flatten()
    }

    pub(crate) fn pop(&mut self) -> Option<Entry> {
        self.backlog.pop()
    }

    /// Puts a failed delivery back; it comes out again if that was one failure too many. A quorum queue without a
    /// limit puts what its consumer returned at its end, and everything else before the messages that wait.
    pub(crate) fn give_back(&mut self, mut entry: Entry, returned: bool) -> Result<(), Entry> {
        entry.failures += 1;
        let limit = self.settings.delivery_limit.filter(|_| self.settings.quorum);
        match limit {
            Some(limit) if entry.failures > limit => return Err(entry),
            None if self.settings.quorum && returned => {
                self.backlog.push(entry.posted, entry.failures, entry.expires_at);
            }
            _ if self.settings.quorum => self.backlog.put_behind_other_returns(entry),
            _ => self.backlog.put_where_it_was(entry),
        }
        Ok(())
    }

    /// The message as a consumer sees it.
    pub(crate) fn message_of(&self, entry: &Entry) -> Message {
        let mut message = entry.posted.message.clone();
        if self.settings.quorum {
            let count = HeaderValue::from(entry.failures);
            message.properties.headers.insert("x-delivery-count".to_owned(), count);
        }
        message
    }

    /// Removes all ready messages and says how many there were.
    pub(crate) fn purge(&mut self) -> usize {
        let count = self.ready();
        self.backlog = Backlog::default();
        count
    }

    /// The ready messages in the order in which they will be delivered.
    pub(crate) fn peek(&self) -> impl Iterator<Item = &Posted> {
        let Backlog { returned, waiting, .. } = &self.backlog;
        returned.values().chain(waiting).map(|entry| &*entry.posted)
    }
}

/// The ready messages of a queue: those that came back, then the others.
#[derive(Debug, Default)]
struct Backlog {
    returned: BTreeMap<u64, Entry>,
    waiting: VecDeque<Entry>,
    next_position: u64,
}

impl Backlog {
    fn len(&self) -> usize {
        self.returned.len() + self.waiting.len()
    }

    fn position(&mut self) -> u64 {
        self.next_position += 1;
        self.next_position
    }

    fn front(&self) -> Option<&Entry> {
        self.returned.values().next().or_else(|| self.waiting.front())
    }

    fn push(&mut self, posted: Arc<Posted>, failures: u32, expires_at: Option<Duration>) {
        let position = self.position();
        self.waiting.push_back(Entry {
            posted,
            position,
            failures,
            expires_at,
        });
    }

    fn pop(&mut self) -> Option<Entry> {
        let first_returned = self.returned.pop_first().map(|(_, entry)| entry);
        first_returned.or_else(|| self.waiting.pop_front())
    }

    fn put_behind_other_returns(&mut self, entry: Entry) {
        let position = self.position();
        self.returned.insert(position, entry);
    }

    fn put_where_it_was(&mut self, entry: Entry) {
        self.returned.insert(entry.position, entry);
    }
}

/// Dead letters that have not arrived yet; only a queue with at-least-once dead-lettering keeps any.
#[derive(Debug, Default)]
pub(crate) struct Graves {
    waiting: VecDeque<Arc<Posted>>,
    pub(crate) retry_at: Option<Duration>,
}

impl Graves {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether another dead letter is tried at once rather than kept behind those that failed.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < DEAD_LETTERS_ON_THE_WAY
    }

    pub(crate) fn peek(&self) -> impl Iterator<Item = &Posted> {
        self.waiting.iter().map(|posted| &**posted)
    }

    pub(crate) fn keep(&mut self, posted: Arc<Posted>) {
        self.waiting.push_back(posted);
    }

    pub(crate) fn take(&mut self) -> VecDeque<Arc<Posted>> {
        self.retry_at = None;
        std::mem::take(&mut self.waiting)
    }
}

/// The consumers of a queue; those with room for a delivery stand in line and are served in turn.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) consumers: BTreeSet<ConsumerId>,
    waiting: VecDeque<ConsumerId>,
}

impl Line {
    pub(crate) fn join(&mut self, consumer: ConsumerId) {
        self.waiting.push_back(consumer);
    }

    /// The next consumer. Those that left while they stood in line are skipped here.
    pub(crate) fn next(&mut self, single_active: bool) -> Option<ConsumerId> {
        if single_active {
            // Ids rise: the first is the one that has been there longest. It may be busy; the others wait all the same.
            let active = *self.consumers.first()?;
            let at = self.waiting.iter().position(|waiting| *waiting == active)?;
            return self.waiting.remove(at);
        }
        while let Some(consumer) = self.waiting.pop_front() {
            if self.consumers.contains(&consumer) {
                return Some(consumer);
            }
        }
        None
    }
}
