//! The task of one schedule: gets onto a channel, races for the baton there, and does so again when the channel is gone.

use std::sync::Arc;
use std::time::Duration;

use leveret::broker::{BrokerError, Duplex, Session};
use leveret::runtime::{Link, LinkState, Target};
use leveret::topology::{Topology, TopologyError, announce_policies, announce_schedule_policies, ensure};
use leveret::{Backoff, Clock, ConnectOptions, JobId, Rabbit, watch};

use super::race::{Race, Stop};
use super::relay::{Now, Runner};
use super::{Reporter, SchedulePlan, ScheduleState};
use crate::dispatcher::Phase;

/// The waits between subscriptions that do not last.
const PACE: Backoff = Backoff::exponential("100ms", "5s");

/// A subscription that lived this long was a good one: the next wait is a short one again.
const LASTING: Duration = Duration::from_secs(30);

/// Two deliveries at the least have to be in hand at once: the old baton and the new one. The rest is for the calls of other replicas.
const PREFETCH: u16 = 20;

/// What the task of a schedule is given.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) plan: SchedulePlan,
    pub(crate) reporter: Reporter,
    pub(crate) phase: watch::Receiver<Phase>,
    /// How long a delivery may be held at the most.
    pub(crate) longest_hold: Duration,
}

/// One schedule on this replica.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(super) setup: Setup,
    /// A connection of its own: the broker notices the loss of it sooner, and blocking it for its publishes blocks nothing else.
    link: Link,
    pub(super) options: ConnectOptions,
    /// For dates, which may jump.
    dates: Clock,
    clock: Clock,
    /// The schedule's own queue.
    pub(super) batons: Target,
    /// Where its jobs go.
    pub(super) jobs: Target,
}

impl Leader {
    pub(crate) fn new(setup: Setup, rabbit: &Rabbit) -> Self {
        let topology = Topology::new(rabbit.options().name_prefix());
        announce_policies(rabbit.options(), &setup.plan.queue);
        announce_schedule_policies(rabbit.options(), &setup.plan.name);
        Self {
            batons: topology.schedule(&setup.plan.name),
            jobs: topology.work(&setup.plan.queue),
            setup,
            link: rabbit.scheduling(),
            options: rabbit.options().clone(),
            dates: rabbit.calendar(),
            clock: rabbit.clock(),
        }
    }

    /// The queue of the schedule.
    pub(crate) fn queue(&self) -> &str {
        &self.batons.destination.routing_key
    }

    /// Takes part until the worker shuts down.
    ///
    /// # Errors
    /// [`TopologyError`] if it never took part and only a person can mend why.
    pub(crate) async fn run(self) -> Result<(), TopologyError> {
        let (mut took_part, mut failures) = (false, 0);
        while let Some(session) = self.next_session().await {
            let since = self.clock.now();
            match self.subscribe(&*session).await {
                Ok(channel) => {
                    took_part = true;
                    match Race::new(&self, &*session, channel).run().await {
                        Stop::Shutdown => break,
                        Stop::Lost(reason) => self.down(&reason),
                    }
                    if self.clock.now().saturating_sub(since) > LASTING {
                        failures = 0;
                    }
                }
                Err(NotSubscribed::Topology(error)) if error.is_final() && !took_part => return Err(error),
                Err(NotSubscribed::Topology(error)) => self.down(&error),
                Err(NotSubscribed::Broker(error)) => self.down(&error),
            }
            failures += 1;
            let pause = tokio::time::sleep(PACE.wait(failures, fastrand::f64()));
            if self.while_running(pause).await.is_none() {
                break;
            }
        }
        self.setup.reporter.set(ScheduleState::Stopped);
        Ok(())
    }

    /// A connection that takes publishes; `None` once the worker shuts down, or the process has closed its connections for good.
    async fn next_session(&self) -> Option<Arc<dyn Session>> {
        let mut link = self.link.state();
        loop {
            if *self.setup.phase.borrow() > Phase::Running {
                return None;
            }
            let state = link.borrow_and_update().clone();
            match state {
                LinkState::Up { session, .. } => return Some(session),
                LinkState::Blocked { reason, .. } => self.down(&format!("the broker takes no publishes: {reason}")),
                LinkState::Down { last_error, .. } => drop(last_error.map(|error| self.down(&error))),
                _ => return None,
            }
            // An error means that the supervisor is gone, which is the same as a stop.
            self.while_running(link.changed()).await?.ok()?;
        }
    }

    async fn subscribe(&self, session: &dyn Session) -> Result<Duplex, NotSubscribed> {
        let mode = self.options.topology_mode();
        for target in [&self.jobs, &self.batons] {
            let ensured = ensure(session, mode, &target.declarations).await;
            ensured.map_err(NotSubscribed::Topology)?;
        }
        let channel = session.duplex(self.queue(), PREFETCH).await;
        channel.map_err(NotSubscribed::Broker)
    }

    /// Who runs on a new channel.
    pub(super) fn runner(&self) -> Runner {
        let plan = &self.setup.plan;
        Runner {
            terms: plan.terms.clone(),
            job: plan.job.to_owned(),
            id: JobId::random().to_string(),
            // Two of three renewals may be late.
            renewal: self.setup.longest_hold / 3,
            patience: self.options.deadlines().rpc,
        }
    }

    pub(super) fn now(&self) -> Now {
        let since = self.dates.wall().duration_since(std::time::UNIX_EPOCH);
        Now {
            wall: since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            mono: self.clock.now(),
        }
    }

    pub(super) fn down(&self, error: &dyn std::fmt::Display) {
        self.setup.reporter.set(ScheduleState::Down {
            error: error.to_string(),
        });
    }

    /// `None` as soon as the worker shuts down.
    async fn while_running<T>(&self, until: impl Future<Output = T>) -> Option<T> {
        let mut phase = self.setup.phase.clone();
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase > Phase::Running) => None,
            value = until => Some(value),
        }
    }
}

/// Why a schedule takes no part.
enum NotSubscribed {
    Topology(TopologyError),
    Broker(BrokerError),
}
