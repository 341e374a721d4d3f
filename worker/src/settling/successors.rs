//! What makes the messages that take the places of one queue's jobs: [`Successors`].

use std::future::Future;
use std::sync::{Arc, Once};
use std::time::Duration;

use leveret::broker::Declaration;
use leveret::envelope::{
    DEFAULT_FRAME_MAX, Failure, MAX_DELAYED_HEADER, Republish, fit_header, headers, mark_resent, republish, set_due,
};
use leveret::runtime::{Lane, Target};
use leveret::topology::{Topology, announce_delay_policies, announce_policies};
use leveret::{Clock, ConnectOptions, DeadLetter, HeaderValue, Message, Queue, Rabbit, TopologyMode};

use super::Deed;
use super::successor::{self, Purpose, Sent, Successor};
use crate::context::Attempt;
use crate::dispatcher::CRASHES;
use crate::joined::sources;
use crate::verdict::{Fault, Verdict};

/// Stands in the target of what says by itself when it is due.
const ANY_WAIT: Duration = Duration::from_millis(1);

/// What a wait is cut to: about as much as the delay ladder has.
const LONGEST_WAIT: Duration = Duration::from_secs(600 * 86_400);

/// Makes and publishes the successors of one queue's jobs: where they go, what goes into them, by which lane.
#[derive(Debug)]
pub(crate) struct Successors {
    queue: Queue,
    sources: Vec<String>,
    /// The name in records of failures.
    worker: String,
    lane: Lane,
    options: ConnectOptions,
    clock: Clock,
    targets: Targets,
    announced: Once,
}

/// Where the successors of a queue's jobs go.
#[derive(Debug)]
struct Targets {
    /// The queue itself.
    work: Target,
    /// Where its jobs arrive that have waited: there is room for each.
    due: Target,
    /// The way there for those that say when they are due. What waits is declared before the first of them, and not by a worker that has none.
    delayed: Target,
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
            targets: Targets {
                work: topology.work(&queue),
                due: topology.due(&queue),
                delayed: topology.delayed(&queue, ANY_WAIT),
                dead: topology.dead(&queue),
                suspect: topology.suspect(&queue),
            },
            sources: sources(&topology, &queue),
            announced: Once::new(),
            queue,
            worker,
        }
    }

    /// The names of the queues that its jobs are in.
    pub(crate) fn sources(&self) -> &[String] {
        &self.sources
    }

    /// All that the queue needs in the broker.
    pub(crate) fn declarations(&self) -> &Arc<[Declaration]> {
        &self.targets.work.declarations
    }

    /// The same, with all that a delay needs.
    pub(crate) fn declarations_for_delays(&self) -> &Arc<[Declaration]> {
        &self.targets.delayed.declarations
    }

    /// Whether a job of its was ever delayed here.
    pub(crate) fn has_delayed(&self) -> bool {
        self.announced.is_completed()
    }

    /// The queue's name.
    pub(crate) fn queue(&self) -> &str {
        self.queue.name()
    }

    /// What a verdict comes to on this queue.
    pub(crate) fn deed(&self, verdict: Verdict) -> Deed {
        match verdict {
            Verdict::Ack | Verdict::Cancel { .. } => Deed::Done,
            Verdict::GiveBack => Deed::GiveBack,
            Verdict::Snooze { after } => Deed::Replace {
                purpose: Purpose::Snooze { after },
                why: Republish::Again,
            },
            Verdict::Retry { after, fault } => Deed::Replace {
                purpose: Purpose::Retry { after },
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
    /// must not become a suspect, let alone a dead letter. Of what a classic queue delivers again one only knows that it was delivered.
    pub(crate) fn returns_by_copy(&self, delivery_count: u32) -> bool {
        self.queue.is_classic() || delivery_count.saturating_add(1) >= CRASHES.min(self.queue.limit_of_deliveries())
    }

    /// The message that takes a job's place.
    ///
    /// # Errors
    /// Why there can be none, in words.
    pub(crate) fn make(&self, attempt: &Attempt, purpose: Purpose, why: &Republish) -> Result<Successor, String> {
        let incoming = &attempt.incoming;
        let republished = || {
            let mut message = republish(&attempt.message, &incoming.id, incoming.attempt, why);
            if incoming.hop.is_some() {
                // A job of Leveret's says where it belongs once it may lie elsewhere.
                let origin = message.properties.headers.entry(headers::ORIGIN.to_owned());
                origin.or_insert_with(|| self.queue().into());
            }
            message
        };
        let mut message = republished();
        let wait = purpose.wait();
        if !wait.is_zero() {
            set_due(&mut message, self.clock.wall() + wait.min(LONGEST_WAIT));
        }
        let most = if wait.is_zero() {
            DEFAULT_FRAME_MAX
        } else {
            MAX_DELAYED_HEADER
        };
        let message = match fit_header(message, most) {
            Ok(message) => message,
            // Where the broker may lose what it dead-letters, the copy goes without the application's headers.
            Err(_) if purpose == Purpose::DeadLetter && self.broker_may_lose() => {
                let mut bare = republished();
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
            Purpose::DeadLetter => self.targets.dead.clone(),
            // Beside a full queue there is room: a job that could not be given back by a copy would count one more delivery.
            Purpose::Return | Purpose::NoteCrash => self.targets.due.clone(),
            Purpose::PutAside { .. } | Purpose::Arm { .. } => self.targets.suspect.clone(),
            _ if purpose.wait().is_zero() => self.targets.due.clone(),
            Purpose::Retry { .. } | Purpose::Snooze { .. } | Purpose::Unknown { .. } => {
                self.announce_delays();
                self.targets.delayed.clone()
            }
        }
    }

    /// Tells the operator what the first delay needs, in the mode that leaves it to people.
    fn announce_delays(&self) {
        self.announced.call_once(|| announce_delay_policies(&self.options));
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
    if !matches!(purpose, Purpose::DeadLetter) {
        table.remove(headers::UNKNOWN);
    }
    match purpose {
        // The record of a failure tells how often the suspect was started.
        Purpose::DeadLetter => return message,
        Purpose::Return | Purpose::Retry { .. } | Purpose::Snooze { .. } => drop(table.remove(headers::SUSPECT)),
        Purpose::Unknown { times, .. } => {
            table.remove(headers::SUSPECT);
            table.insert(headers::UNKNOWN.to_owned(), times.into());
        }
        Purpose::NoteCrash => drop(table.insert(headers::CRASHES.to_owned(), 1u32.into())),
        Purpose::PutAside { starts } => drop(table.insert(headers::SUSPECT.to_owned(), starts.into())),
        Purpose::Arm { starts } => {
            table.insert(headers::SUSPECT.to_owned(), starts.into());
            table.insert(headers::SUSPECT_ARMED.to_owned(), HeaderValue::Bool(true));
        }
    }
    // A retry too: the delivery before this one may have got its retry stored, and lost its connection before the ack.
    if attempt.redelivered || attempt.incoming.resent {
        mark_resent(&mut message);
    }
    message
}
