//! The plan: for a work queue, every exchange, queue and binding that keeps its jobs from being lost. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::ladder::{self, Route};
use super::names::Names;
use super::policy::Policy;
use crate::broker::{Argument, Arguments, Binding, Declaration, Destination, Exchange, ExchangeKind, QueueDeclaration};
use crate::ledger::Target;
use crate::queue::{Queue, QueueKind};

/// A delivery limit that is never reached. Not -1, which 4.x advises against, and not left out: 4.0 would take 20, and looking
/// at a dead letter 20 times would destroy it.
pub(super) const NO_DELIVERY_LIMIT: i64 = 2_147_483_647;

/// Of a queue's consumers only the oldest gets messages; the next takes over when that one goes. No policy can set it.
pub(super) const SINGLE_ACTIVE_CONSUMER: &str = "x-single-active-consumer";

/// Knows what stands in the broker for each queue. Everything that belongs to one prefix shares the exchanges.
///
/// ```
/// use leveret::{Queue, topology::Topology};
///
/// let topology = Topology::new("leveret");
/// let mail = Queue::new("mail");
/// assert_eq!(topology.work(&mail).destination.routing_key, "mail");
/// assert_eq!(topology.dead(&mail).destination.exchange, "leveret.dead");
/// assert_eq!(topology.suspect_queue(&mail), "mail.suspect");
/// assert_eq!(topology.declarations(&mail).len(), 10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    names: Names,
}

impl Topology {
    /// The topology under a prefix.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            names: Names::new(prefix),
        }
    }

    /// Where jobs for a queue are published: straight to it, through the default exchange.
    #[must_use]
    pub fn work(&self, queue: &Queue) -> Target {
        Target {
            destination: Destination::queue(queue.name()).into(),
            declarations: self.declarations(queue),
        }
    }

    /// Where dead letters of a queue are published.
    #[must_use]
    pub fn dead(&self, queue: &Queue) -> Target {
        let destination = Destination {
            exchange: self.names.dead_exchange(),
            routing_key: queue.name().to_owned(),
        };
        Target {
            destination: destination.into(),
            declarations: self.declarations(queue),
        }
    }

    /// Where jobs are published that shall be in a queue after `wait`, and never before: rounded up to 100 ms, and to 621 days at the most.
    /// Without a wait that is [`Topology::work`].
    ///
    /// A message with the header [`leveret-due`](crate::envelope::headers::DUE) is sent by that: each time it is sent, the wait is worked
    /// out anew, so that an outage does not make it later than needed. One without it waits as long as is said here from whenever it
    /// is sent.
    ///
    /// ```
    /// use std::time::Duration;
    /// use leveret::{Queue, topology::Topology};
    ///
    /// let (topology, mail) = (Topology::new("leveret"), Queue::new("mail"));
    /// let target = topology.delayed(&mail, Duration::from_secs(90));
    /// assert_eq!(target.destination.exchange, "leveret.delay.v1.09"); // 512 of 900 units, the others below it
    /// assert_eq!(topology.delayed(&mail, Duration::ZERO), topology.work(&mail));
    /// ```
    #[must_use]
    pub fn delayed(&self, queue: &Queue, wait: Duration) -> Target {
        if wait.is_zero() {
            return self.work(queue);
        }
        let due = self.due(queue).destination;
        let route = Route::new(self.names.clone(), &due.routing_key);
        let own = self.declarations(queue);
        Target {
            destination: route.destination(wait).into(),
            declarations: own.iter().cloned().chain(route.declarations()).collect(),
        }
    }

    /// Where jobs arrive whose wait is over: in the queue, or, where that has a length limit, beside it in a queue of its own without one.
    /// A full queue would otherwise refuse them, and RabbitMQ tries such a message again only after three minutes.
    #[must_use]
    pub fn due(&self, queue: &Queue) -> Target {
        Target {
            destination: Destination::queue(self.due_queue(queue).unwrap_or_else(|| queue.name().to_owned())).into(),
            declarations: self.declarations(queue),
        }
    }

    /// Where jobs of a queue are put aside that may have crashed their workers: its workers run them one by one, beside nothing else.
    #[must_use]
    pub fn suspect(&self, queue: &Queue) -> Target {
        Target {
            destination: Destination::queue(self.suspect_queue(queue)).into(),
            declarations: self.declarations(queue),
        }
    }

    /// The name of the queue for the due jobs of a queue with a length limit; `None`: they go into the queue itself.
    #[must_use]
    pub fn due_queue(&self, queue: &Queue) -> Option<String> {
        queue.limit_of_messages().map(|_| Names::due_queue(queue.name()))
    }

    /// The names of the queues in which the delayed jobs of all queues wait.
    pub fn delay_queues(&self) -> impl Iterator<Item = String> {
        ladder::queues(&self.names)
    }

    /// The name of the queue that holds the suspects of a queue.
    #[must_use]
    pub fn suspect_queue(&self, queue: &Queue) -> String {
        Names::suspect_queue(queue.name())
    }

    /// The queue in which a delayed job arrives that was published here; `None` where this is no destination of a delay.
    #[must_use]
    pub fn arrives_in(&self, destination: &Destination) -> Option<String> {
        Route::of(destination)
            .filter(|route| route.is_of(&self.names))
            .map(|route| route.queue())
    }

    /// The name of the queue that holds the dead letters of a queue.
    #[must_use]
    pub fn dead_queue(&self, queue: &Queue) -> String {
        Names::dead_queue(queue.name())
    }

    /// The name of the queue for dead letters whose own queue is gone.
    #[must_use]
    pub fn lost_queue(&self) -> String {
        self.names.lost_queue()
    }

    /// Whether the jobs of a work queue are also consumed from the queue of this name.
    pub(crate) fn is_beside(&self, work: &str, name: &str) -> bool {
        name == Names::due_queue(work) || name == Names::suspect_queue(work)
    }

    /// The name of what is locked while a queue of dead letters is inspected: an exclusive queue, gone with the inspector's connection.
    pub(crate) fn inspection_lock(&self, dead: &str) -> String {
        Names::inspection_lock(dead)
    }

    /// What an operator has to set before a schedule is first kept, where the topology mode is [`Minimal`](crate::TopologyMode::Minimal):
    /// from 4.0 on RabbitMQ would drop a baton after twenty failovers in succession.
    #[must_use]
    pub fn schedule_policies(&self, name: &str) -> Vec<Policy> {
        self.schedule(name).declarations.iter().filter_map(Policy::of).collect()
    }

    /// Where the baton of a schedule lies: a queue whose single active consumer is the schedule's leader.
    ///
    /// ```
    /// use leveret::topology::Topology;
    ///
    /// let schedule = Topology::new("leveret").schedule("nightly");
    /// assert_eq!(schedule.destination.routing_key, "leveret.schedule.nightly");
    /// ```
    #[must_use]
    pub fn schedule(&self, name: &str) -> Target {
        let queue = self.names.schedule_queue(name);
        // Each failover counts as a failed delivery: a limit would end in the loss of the baton.
        let mut arguments = quorum(NO_DELIVERY_LIMIT);
        arguments.insert(SINGLE_ACTIVE_CONSUMER.to_owned(), Argument::Bool(true));
        let declaration = QueueDeclaration {
            name: queue.clone(),
            arguments,
        };
        Target {
            destination: Destination::queue(queue).into(),
            declarations: Arc::from([Declaration::Queue(declaration)]),
        }
    }

    /// All that a queue needs, in an order in which nothing is ever without its safety net: the net comes first.
    #[must_use]
    pub fn declarations(&self, queue: &Queue) -> Arc<[Declaration]> {
        let lost = self.names.lost_queue();
        let dead = Names::dead_queue(queue.name());
        let due = self.due_queue(queue).unwrap_or_else(|| queue.name().to_owned());
        let [deliver, arrival] = Route::new(self.names.clone(), &due).arrival();
        let mut all = vec![
            exchange(self.names.lost_exchange(), ExchangeKind::Fanout, Arguments::new()),
            keeping_queue(lost.clone()),
            binding(lost, self.names.lost_exchange(), ""),
            exchange(
                self.names.dead_exchange(),
                ExchangeKind::Direct,
                Arguments::from([(
                    "alternate-exchange".to_owned(),
                    Argument::Text(self.names.lost_exchange()),
                )]),
            ),
            keeping_queue(dead.clone()),
            binding(dead, self.names.dead_exchange(), queue.name()),
            self.suspects(queue),
            deliver,
        ];
        all.extend(self.due_queue(queue).map(|due| self.queue_for_due_jobs(due, queue)));
        all.extend([self.work_queue(queue), arrival]);
        Arc::from(all)
    }

    /// What an operator has to set before the first job, where the topology mode is
    /// [`Minimal`](crate::TopologyMode::Minimal); the work queue's own policy is the last.
    #[must_use]
    pub fn policies(&self, queue: &Queue) -> Vec<Policy> {
        self.declarations(queue).iter().filter_map(Policy::of).collect()
    }

    /// What an operator has to set before the first delayed job or retry, where the topology mode is
    /// [`Minimal`](crate::TopologyMode::Minimal). Without it delayed jobs wait for ever.
    #[must_use]
    pub fn delay_policies(&self) -> Vec<Policy> {
        let ladder = Route::new(self.names.clone(), "").declarations();
        ladder.iter().filter_map(Policy::of).collect()
    }

    fn work_queue(&self, queue: &Queue) -> Declaration {
        let mut arguments = match queue.kind() {
            QueueKind::Quorum => self.consumed_quorum(queue),
            // A classic queue knows neither a delivery limit nor at-least-once dead lettering.
            QueueKind::Classic => {
                let mut arguments = Arguments::from([("x-queue-type".to_owned(), text("classic"))]);
                arguments.append(&mut self.net(queue));
                arguments.remove("x-dead-letter-strategy");
                arguments
            }
        };
        if let Some(length) = queue.limit_of_messages() {
            arguments.insert("x-max-length".to_owned(), Argument::Int(i64::from(length)));
        }
        Declaration::Queue(QueueDeclaration {
            name: queue.name().to_owned(),
            arguments,
        })
    }

    fn queue_for_due_jobs(&self, name: String, queue: &Queue) -> Declaration {
        Declaration::Queue(QueueDeclaration {
            name,
            arguments: self.consumed_quorum(queue),
        })
    }

    /// What the queues have whose jobs are run: a backstop against crashes, and dead letters that arrive.
    fn consumed_quorum(&self, queue: &Queue) -> Arguments {
        let mut arguments = quorum(i64::from(queue.limit_of_deliveries()));
        arguments.append(&mut self.net(queue));
        arguments
    }

    /// One job at a time, in one worker at a time. It has no limit of its own: who runs its jobs counts their starts, and the broker would
    /// count deliveries.
    fn suspects(&self, queue: &Queue) -> Declaration {
        let mut arguments = quorum(NO_DELIVERY_LIMIT);
        arguments.append(&mut self.net(queue));
        arguments.insert(SINGLE_ACTIVE_CONSUMER.to_owned(), Argument::Bool(true));
        Declaration::Queue(QueueDeclaration {
            name: self.suspect_queue(queue),
            arguments,
        })
    }

    /// What the broker does with a job that is rejected, or has no room: nothing of it is lost.
    fn net(&self, queue: &Queue) -> Arguments {
        Arguments::from([
            (
                "x-dead-letter-exchange".to_owned(),
                Argument::Text(self.names.dead_exchange()),
            ),
            ("x-dead-letter-routing-key".to_owned(), text(queue.name())),
            ("x-dead-letter-strategy".to_owned(), text("at-least-once")),
            ("x-overflow".to_owned(), text("reject-publish")),
        ])
    }
}

/// A queue that only keeps messages for people to look at.
fn keeping_queue(name: String) -> Declaration {
    Declaration::Queue(QueueDeclaration {
        name,
        arguments: quorum(NO_DELIVERY_LIMIT),
    })
}

pub(super) fn quorum(delivery_limit: i64) -> Arguments {
    Arguments::from([
        ("x-queue-type".to_owned(), text("quorum")),
        ("x-delivery-limit".to_owned(), Argument::Int(delivery_limit)),
    ])
}

pub(super) fn exchange(name: String, kind: ExchangeKind, arguments: Arguments) -> Declaration {
    Declaration::Exchange(Exchange { name, kind, arguments })
}

pub(super) fn binding(queue: String, exchange: String, routing_key: &str) -> Declaration {
    Declaration::Binding(Binding {
        queue,
        exchange,
        routing_key: routing_key.to_owned(),
    })
}

pub(super) fn text(value: &str) -> Argument {
    Argument::Text(value.to_owned())
}

#[cfg(test)]
mod tests;
