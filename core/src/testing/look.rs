//! Looking into the queues of a [`TestBroker`]. Nothing is taken out by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::TestBroker;
use crate::envelope::{Incoming, headers};
use crate::id::JobId;
use crate::job::Job;
use crate::message::{HeaderValue, Message};
use crate::queue::Queue;
use crate::topology::Topology;

/// The prefix of Leveret's own names, unless a test sets another: then its dead letters are found all the same, what is lost is not.
const PREFIX: &str = "leveret";

/// A job in a queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Enqueued<J> {
    /// The job.
    pub job: J,
    found: Found,
}

/// A dead letter.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLettered<J> {
    /// The job; `None` where the message could not be read as one.
    pub job: Option<J>,
    found: Found,
}

/// A message, the queue in which it is or died, and what it says of itself.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) message: Message,
    pub(super) incoming: Option<Incoming>,
    pub(super) queue: String,
}

/// What a queue is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Work,
    /// Jobs of all queues that are not due yet.
    Delays,
    /// The dead letters of this queue.
    DeadLettersOf(String),
    Lost,
}

/// What is in its queues. Looking takes nothing out.
impl TestBroker {
    /// The jobs of type `J` in all queues: those that wait, delayed ones too, and those that a worker has not settled yet. Dead letters are not among
    /// them.
    ///
    /// # Panics
    /// A message with this job's name is no such job.
    #[must_use]
    #[track_caller]
    pub fn enqueued<J: Job>(&self) -> Vec<Enqueued<J>> {
        let mut enqueued = Vec::new();
        for found in self.found(|purpose| matches!(purpose, Purpose::Work | Purpose::Delays)) {
            if !found.is_a::<J>() {
                continue;
            }
            match Incoming::job(&found.message.body) {
                Ok(job) => enqueued.push(Enqueued { job, found }),
                Err(error) => panic!(
                    "a message in the queue `{}` says that it is a `{}`: {error}",
                    found.queue,
                    J::NAME
                ),
            }
        }
        enqueued
    }

    /// The dead letters of type `J`, of all queues.
    #[must_use]
    pub fn dead_letters<J: Job>(&self) -> Vec<DeadLettered<J>> {
        let dead = self.found(|purpose| matches!(purpose, Purpose::DeadLettersOf(_)));
        let of_type = dead.into_iter().filter(Found::is_a::<J>);
        let read = |found: Found| DeadLettered {
            job: Incoming::job(&found.message.body).ok(),
            found,
        };
        of_type.map(read).collect()
    }

    /// How many messages are in a queue: those that wait, and those that a worker has not settled yet.
    #[must_use]
    pub fn depth(&self, queue: &Queue) -> usize {
        let depth = self.inner.broker.depth(queue.name());
        depth.map_or(0, |depth| depth.ready + depth.unacked)
    }

    /// All messages in the queues of some purpose, by queue.
    pub(super) fn found(&self, wanted: impl Fn(&Purpose) -> bool) -> Vec<Found> {
        let queues = self.purposes().into_iter().filter(|(_, purpose)| wanted(purpose));
        queues
            .flat_map(|(name, purpose)| self.found_in(&name, &purpose))
            .collect()
    }

    /// All messages in one queue; first those that were delivered.
    pub(super) fn found_in(&self, name: &str, purpose: &Purpose) -> Vec<Found> {
        let queue = match purpose {
            Purpose::DeadLettersOf(work) => work,
            Purpose::Work | Purpose::Lost | Purpose::Delays => name,
        };
        let origin = |message: &Message| match (purpose, message.properties.headers.get(headers::ORIGIN)) {
            // It waits in one queue for another.
            (Purpose::Delays, Some(HeaderValue::Text(origin))) => origin.clone(),
            _ => queue.to_owned(),
        };
        let found = |message: Message| Found {
            incoming: Incoming::read(&message).ok(),
            queue: origin(&message),
            message,
        };
        self.inner.broker.contents(name).into_iter().map(found).collect()
    }

    /// All queues, and what they are for.
    pub(super) fn purposes(&self) -> Vec<(String, Purpose)> {
        let topology = Topology::new(PREFIX);
        let names = self.inner.broker.queues();
        let work_of = |name: &String| {
            let dead_of = |work: &&String| {
                let queue = Queue::named(work.as_str());
                queue.is_ok_and(|queue| topology.dead_queue(&queue) == *name)
            };
            names.iter().find(dead_of).cloned()
        };
        let purpose = |name: &String| match work_of(name) {
            Some(work) => Purpose::DeadLettersOf(work),
            None if *name == topology.lost_queue() => Purpose::Lost,
            None if topology.delay_queues().any(|delays| delays == *name) => Purpose::Delays,
            None => Purpose::Work,
        };
        names.iter().map(|name| (name.clone(), purpose(name))).collect()
    }
}

impl Found {
    fn is_a<J: Job>(&self) -> bool {
        let kind = self.message.properties.kind.as_deref();
        kind.is_some_and(|kind| kind == J::NAME || J::ALIASES.contains(&kind))
    }

    fn text(&self, header: &str) -> Option<&str> {
        self.message.properties.headers.get(header)?.as_text()
    }

    /// Why it is dead. The broker's own record is newer than ours, which may be of an earlier attempt.
    pub(super) fn reason(&self) -> &str {
        self.last_death()
            .or(self.text(headers::FAILURE_REASON))
            .unwrap_or_default()
    }

    /// Why the broker gave it up last. The first of its deaths may be the end of a delay.
    fn last_death(&self) -> Option<&str> {
        let HeaderValue::List(deaths) = self.message.properties.headers.get("x-death")? else {
            return None;
        };
        match deaths.first()? {
            HeaderValue::Table(death) => death.get("reason")?.as_text(),
            _ => None,
        }
    }

    pub(super) fn error(&self) -> &str {
        self.text(headers::FAILURE_ERROR).unwrap_or_default()
    }
}

macro_rules! about_the_message {
    () => {
        /// The job's id; `None` where the message has none that could be read.
        #[must_use]
        pub fn id(&self) -> Option<&JobId> {
            self.found.incoming.as_ref().map(|incoming| &incoming.id)
        }

        /// Which run it waits for or was; the first is 1.
        #[must_use]
        pub fn attempt(&self) -> u32 {
            self.found
                .incoming
                .as_ref()
                .map_or(1, |incoming| incoming.attempt)
        }

        /// The id that links it to others, where it was set.
        #[must_use]
        pub fn correlation_id(&self) -> Option<&str> {
            self.found.message.properties.correlation_id.as_deref()
        }

        /// A header of the message.
        #[must_use]
        pub fn header(&self, name: &str) -> Option<&HeaderValue> {
            self.found.message.properties.headers.get(name)
        }
    };
}

impl<J> Enqueued<J> {
    about_the_message!();

    /// The queue that it is in; of one that is not due yet, the queue that it was enqueued to.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.found.queue
    }

    /// When it is due, where it was delayed.
    #[must_use]
    pub fn due(&self) -> Option<SystemTime> {
        let millis = self.header(headers::DUE)?.as_int()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(millis).ok()?))
    }

    /// How many runs it gets in all, where that was set for this one job.
    #[must_use]
    pub fn max_attempts(&self) -> Option<u32> {
        self.found.incoming.as_ref()?.max_attempts
    }

    /// How long one attempt may run, where that was set for this one job.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.found.incoming.as_ref()?.timeout
    }
}

impl<J> DeadLettered<J> {
    about_the_message!();

    /// The queue that it came from.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.found.queue
    }

    /// Why, in one word: `failed`, `rejected`, `panicked`, `timed_out`, `undecodable`; where the broker dead-lettered it
    /// (a queue with [`DeadLetter::Nack`](crate::DeadLetter::Nack)), the broker's word for it.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.found.reason()
    }

    /// The last error's text; empty where there is none on record.
    #[must_use]
    pub fn error(&self) -> &str {
        self.found.error()
    }

    /// The message's body as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.found.message.body
    }
}
