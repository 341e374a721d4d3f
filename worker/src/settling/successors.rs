//! What makes the messages that take the places of one queue's jobs: [`Successors`].

use std::future::Future;
use std::sync::Arc;

use leveret::broker::Declaration;
use leveret::envelope::{DEFAULT_FRAME_MAX, Failure, Republish, fit_header, headers, republish};
use leveret::runtime::{Lane, Target};
use leveret::topology::{Topology, announce_policies};
use leveret::{Clock, ConnectOptions, DeadLetter, HeaderValue, Message, Queue, Rabbit, TopologyMode};

use super::Deed;
use super::successor::{self, Purpose, Sent, Successor, mark_resent};
use crate::context::Attempt;
use crate::dispatcher::CRASHES;
use crate::verdict::{Fault, Verdict};

/// Makes and publishes the successors of one queue's jobs: where they go, what goes into them, by which lane.
#[derive(Debug)]
pub(crate) struct Successors {
    queue: Queue,
    /// The name in records of failures.
    worker: String,
    lane: Lane,
    options: ConnectOptions,
    clock: Clock,
    work: Target,
    dead: Target,
    suspect: Target,
}

impl Successors {
    pub(crate) fn new(queue: Queue, worker: String, rabbit: &Rabbit) -> Self {
        let topology = Topology::new(rabbit.options().name_prefix());
        announce_policies(rabbit.options(), &queue);
        Self {
            lane: rabbit.successors(),
            options: rabbit.options().clone(),
            clock: rabbit.clock(),
            work: topology.work(&queue),
            dead: topology.dead(&queue),
            suspect: topology.suspect(&queue),
            queue,
            worker,
        }
    }

    /// All that the queue needs in the broker.
    pub(crate) fn declarations(&self) -> &Arc<[Declaration]> {
        &self.work.declarations
    }

    /// What a verdict comes to on this queue.
    pub(crate) fn deed(&self, verdict: Verdict) -> Deed {
        match verdict {
            Verdict::Ack | Verdict::Cancel { .. } => Deed::Done,
            Verdict::GiveBack => Deed::GiveBack,
            Verdict::Snooze { .. } => Deed::Replace {
                purpose: Purpose::Snooze,
                why: Republish::Again,
            },
            Verdict::Retry { fault, .. } => Deed::Replace {
                purpose: Purpose::Retry,
                why: Republish::Retry {
                    failure: self.failure(fault),
                },
            },
            Verdict::DeadLetter { .. } if self.queue.dead_letter_mode() == DeadLetter::Nack => Deed::LeaveToTheBroker,
            Verdict::DeadLetter { fault } => Deed::Replace {
                purpose: Purpose::DeadLetter,
                why: Republish::DeadLetter {
                    failure: self.failure(fault),
                },
            },
        }
    }

    /// Whether a job that the broker has delivered so often before is given back by a confirmed copy rather than as it is. A copy starts
    /// to count anew: brokers up to 4.2 count what is given back as they count what a crash left behind, and a job that was never touched
    /// must not become a suspect, let alone a dead letter.
    pub(crate) fn returns_by_copy(&self, delivery_count: u32) -> bool {
        delivery_count.saturating_add(1) >= CRASHES.min(self.queue.limit_of_deliveries())
    }

    /// The message that takes a job's place.
    ///
    /// # Errors
    /// Why there can be none, in words.
    pub(crate) fn make(&self, attempt: &Attempt, purpose: Purpose, why: &Republish) -> Result<Successor, String> {
        let incoming = &attempt.incoming;
        let message = republish(&attempt.message, &incoming.id, incoming.attempt, why);
        let message = match fit_header(message, DEFAULT_FRAME_MAX) {
            Ok(message) => message,
            // Where the broker may lose what it dead-letters, the copy goes without the application's headers.
            Err(_) if purpose == Purpose::DeadLetter && self.broker_may_lose() => {
                let mut bare = republish(&attempt.message, &incoming.id, incoming.attempt, why);
                bare.properties
                    .headers
                    .retain(|name, _| name.starts_with(headers::PREFIX));
                bare
            }
            Err(too_large) => return Err(too_large.to_string()),
        };
        let message = marked(message, attempt, purpose);
        Ok(Successor {
            target: self.target(purpose),
            message,
            purpose,
            // A returned job can be requeued, and the next attempt can be made on the delivery in hand.
            replaceable: match purpose {
                Purpose::DeadLetter => !self.broker_may_lose(),
                Purpose::Arm { .. } => false,
                _ => true,
            },
            timeout: self.options.deadlines().confirm,
            in_doubt: false,
        })
    }

    /// Publishes until it is confirmed, until `stop` resolves, or until it is of no use to go on.
    pub(crate) fn send<S: Future<Output = ()>>(
        &self,
        successor: Arc<Successor>,
        stop: S,
    ) -> impl Future<Output = Sent> + use<S> {
        successor::send(self.lane.clone(), successor, stop)
    }

    /// Whether a dead letter that is left to the broker may be lost: a classic queue dead-letters at most once, and of a queue that was
    /// not declared in full here nobody knows what stands behind it.
    fn broker_may_lose(&self) -> bool {
        self.queue.is_classic() || self.options.topology_mode() != TopologyMode::Declare
    }

    fn target(&self, purpose: Purpose) -> Target {
        match purpose {
            Purpose::DeadLetter => self.dead.clone(),
            Purpose::Retry | Purpose::Snooze | Purpose::Return | Purpose::NoteCrash => self.work.clone(),
            Purpose::PutAside { .. } | Purpose::Arm { .. } => self.suspect.clone(),
        }
    }

    fn failure(&self, fault: Fault) -> Failure {
        Failure {
            reason: fault.reason,
            error: fault.error,
            queue: self.queue.name().to_owned(),
            worker: self.worker.clone(),
            at: self.clock.wall(),
        }
    }
}

/// What a message has to say of the crashes of its job, which is for the next delivery only; and whether it may be a second copy of one
/// that a worker confirmed and did not live to ack.
fn marked(mut message: Message, attempt: &Attempt, purpose: Purpose) -> Message {
    let table = &mut message.properties.headers;
    table.remove(headers::SUSPECT_ARMED);
    table.remove(headers::CRASHES);
    match purpose {
        // The record of a failure tells how often the suspect was started.
        Purpose::DeadLetter => return message,
        Purpose::Retry | Purpose::Snooze => {
            table.remove(headers::SUSPECT);
            return message;
        }
        Purpose::Return => drop(table.remove(headers::SUSPECT)),
        Purpose::NoteCrash => drop(table.insert(headers::CRASHES.to_owned(), 1u32.into())),
        Purpose::PutAside { starts } => drop(table.insert(headers::SUSPECT.to_owned(), starts.into())),
        Purpose::Arm { starts } => {
            table.insert(headers::SUSPECT.to_owned(), starts.into());
            table.insert(headers::SUSPECT_ARMED.to_owned(), HeaderValue::Bool(true));
        }
    }
    if attempt.redelivered || attempt.incoming.resent {
        mark_resent(&mut message);
    }
    message
}
