//! One publish that is not yet resolved, and the ways in which it resolves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{BrokerError, Declaration, Destination};
use crate::envelope::headers;
use crate::id::JobId;
use crate::message::{HeaderValue, Message};
use crate::topology::Route;

/// Where a message goes, and what must be there for it to arrive.
///
/// Those of one queue's [delays](crate::topology::Topology::delayed) differ in their destination only: however many there are, what they
/// need is declared once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The exchange and routing key.
    pub destination: Arc<Destination>,
    /// What is declared before the first message goes there, and again when one comes back as unroutable.
    pub declarations: Arc<[Declaration]>,
}

/// What became of a publish that was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was not stored, and trying again unchanged will most likely end the same way.
    Refused(Why),
    /// It was never sent. Trying again cannot duplicate it.
    NotSent,
    /// It was sent, but no answer came in time: it may be stored or not. Try again with the same id.
    Unknown,
}

/// Why a publish was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The broker returned it: no queue is bound where it went, even after (in declare mode) one more declaration.
    Unroutable,
    /// The broker nacked it: the queue is full, or it cannot store right now.
    Nacked,
    /// What the message needs could not be declared.
    Undeclared(BrokerError),
    /// It closes every channel it is sent on.
    ClosesChannel(BrokerError),
    /// It cannot be made into a message, or is too large for one.
    Unsendable(String),
    /// A middleware of the producer refused it, for this reason.
    Middleware(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unroutable => {
                f.write_str("the broker returned it as unroutable: no such queue, or nothing is bound there")
            }
            Self::Nacked => {
                f.write_str("the broker nacked it: the queue is full, or it cannot store messages right now")
            }
            Self::Undeclared(error) => write!(f, "its queue could not be declared: {error}"),
            Self::ClosesChannel(error) => write!(f, "the broker closes the channel over it each time: {error}"),
            Self::Unsendable(reason) => write!(f, "it cannot be sent: {reason}"),
            Self::Middleware(reason) => write!(f, "a middleware of the producer refused it: {reason}"),
        }
    }
}

/// A publish as it is handed to the ledger. `waiter` is told how it ended.
#[derive(Debug)]
pub(crate) struct NewEntry<W> {
    pub(crate) id: JobId,
    pub(crate) target: Target,
    pub(crate) message: Message,
    /// On the ledger's clock.
    pub(crate) deadline: Duration,
    pub(crate) waiter: W,
}

/// How one publish ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved<W> {
    pub(crate) waiter: W,
    pub(crate) result: Result<(), Fate>,
}

/// A publish inside the ledger. It is boxed once, before it is handed over, because it is large: whoever keeps it moves the box.
#[derive(Debug)]
pub(crate) struct Entry<W> {
    pub(super) id: JobId,
    /// What is declared before it is sent.
    pub(super) declarations: Arc<[Declaration]>,
    /// Known once it is accepted.
    pub(super) line: usize,
    pub(super) course: Course,
    pub(super) message: Message,
    pub(super) deadline: Duration,
    pub(super) history: History,
    pub(super) waiter: W,
}

impl<W> Entry<W> {
    pub(crate) fn new(new: NewEntry<W>) -> Box<Self> {
        let NewEntry {
            id,
            target,
            message,
            deadline,
            waiter,
        } = new;
        Box::new(Self {
            id,
            declarations: target.declarations,
            line: 0,
            course: Course::of(target.destination, &message),
            message,
            deadline,
            history: History::default(),
            waiter,
        })
    }
}

/// Where a publish is sent to.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) destination: Arc<Destination>,
    /// Of a delayed job that says when it is due: its way through the ladder, and that time since the Unix epoch.
    due: Option<(Route, Duration)>,
}

impl Course {
    pub(super) fn of(destination: Arc<Destination>, message: &Message) -> Self {
        let due = message
            .properties
            .headers
            .get(headers::DUE)
            .and_then(HeaderValue::as_int);
        let due = due
            .and_then(|millis| u64::try_from(millis).ok())
            .map(Duration::from_millis);
        Self {
            due: Route::of(&destination).zip(due),
            destination,
        }
    }

    /// What it has in common with all that share its line.
    pub(super) fn line(&self) -> Arc<Destination> {
        match Route::of(&self.destination) {
            Some(route) => Arc::new(route.end()),
            None => Arc::clone(&self.destination),
        }
    }

    /// Whether it goes through the ladder.
    pub(super) fn is_delayed(&self) -> bool {
        Route::of(&self.destination).is_some()
    }

    /// Finds the way once more, given the time since the Unix epoch. However long it had to wait here, or however often it was sent, it is due
    /// when it is due.
    pub(super) fn find(&mut self, now: Duration) {
        if let Some((route, due)) = &self.due {
            self.destination = Arc::new(route.destination(due.saturating_sub(now)));
        }
    }
}

/// What has happened to a publish so far.
#[derive(Debug, Default)]
pub(super) struct History {
    /// It is on the wire now.
    pub(super) in_flight: bool,
    /// It was on the wire at least once.
    pub(super) sent: bool,
    /// It was on the wire when a channel was lost, so a copy may be stored.
    pub(super) ambiguous: bool,
    /// Its last answer was a nack, and it was not sent since.
    pub(super) nacked: bool,
    /// When it was nacked for the first time.
    pub(super) first_nack: Option<Duration>,
    /// Its destination was declared once more after it came back.
    pub(super) redeclared: bool,
    /// How many channels the broker has closed over something while it was in flight.
    pub(super) deaths: u8,
}

impl History {
    /// What to say when the broker has refused it: only of a publish whose every copy was answered is it certain.
    pub(super) fn refused(&self, why: Why) -> Fate {
        if self.ambiguous {
            Fate::Unknown
        } else {
            Fate::Refused(why)
        }
    }

    /// What to say when nobody waits for the broker's answer any longer.
    pub(super) fn given_up(&self) -> Fate {
        match (self.sent, self.nacked && !self.in_flight) {
            (false, _) => Fate::NotSent,
            (true, true) => self.refused(Why::Nacked),
            (true, false) => Fate::Unknown,
        }
    }
}
