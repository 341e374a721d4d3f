//! The dispatcher: one task per queue. It fetches jobs, starts their attempts, and settles what comes of them.
//!
//! # Layout
//! [`run`](Dispatcher::run) is the outer loop: it gets to consume (`subscribe`), and decides what follows when consuming ended. `turn` is the
//! inner one: one pass over everything that has happened. `admit` takes deliveries in, `settle` acts on verdicts, `replace` publishes what
//! takes a job's place, `drain` ends in order, `overdue` explains what the broker does about a job that was held for too long. `hand` holds the deliveries that are not settled yet, `channels` what they are
//! settled on, `memory` what was finished, `orphans` what runs on without a lease, `excused` what was lost or given back. `suspects` deals with
//! jobs that may have crashed their workers, by what `suspicion` says of them; `hush` makes room for those of other dispatchers;
//! `flow` obeys the kill switch; `pace` tells how far ahead jobs are fetched;
//! `lookout` finds consumers that are dead without anybody having said so, as `silence` tells it.

mod admit;
mod channels;
mod drain;
mod excused;
mod flow;
mod hand;
mod hush;
mod key;
mod lookout;
mod memory;
mod orphans;
mod overdue;
mod pace;
mod replace;
mod settle;
mod silence;
mod subscribe;
mod suspects;
mod suspicion;
mod turn;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use leveret::broker::{BrokerError, BrokerErrorKind, Health, Session};
use leveret::runtime::{Link, LinkState};
use leveret::topology::TopologyError;
use leveret::watch;
use leveret::{Backoff, Clock, ConnectOptions, Rabbit};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::config::QueuePlan;
use crate::context::Surroundings;
use crate::health::{QueueState, Reporter};
use crate::kill_switch::{Breaker, Flow};
use crate::load::Load;
use crate::pulse::Pulse;
use crate::quiet::{Presence, Quiet, Solo};
use crate::registry::Registry;
use crate::report::QueueReport;
use crate::settling::{Sent, Successors};
use crate::verdict::Ended;
use channels::Channels;
use excused::Excused;
use hand::Hand;
use lookout::Lookout;
use memory::Memory;
use overdue::Taking;
use pace::Pace;
use silence::{Silence, Silent};
use subscribe::leaving;
pub(crate) use suspicion::CRASHES;

/// How far the worker is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not at all.
    Running,
    /// No new jobs; what runs may finish within the grace.
    Draining,
    /// What still runs is aborted.
    Aborting,
}

/// Which of a work queue's jobs a dispatcher runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Those of the queue itself.
    Work,
    /// Those that were put aside.
    Suspects,
}

/// What a dispatcher is given.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) role: Role,
    /// The queue that is consumed.
    pub(crate) source: String,
    pub(crate) plan: QueuePlan,
    /// Shared with the worker's other dispatchers.
    pub(crate) quiet: Arc<Quiet>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) reporter: Reporter,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) load: Arc<Load>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) shutdown_grace: Duration,
}

/// What a dispatcher uses of the process's connections.
#[derive(Debug)]
struct Wires {
    consuming: Link,
    publishing: Link,
    options: ConnectOptions,
    clock: Clock,
    /// Shared by the dispatchers of one work queue.
    successors: Arc<Successors>,
}

/// The tasks of one dispatcher. Dropping them aborts them.
#[derive(Debug, Default)]
struct Tasks {
    /// Attempts, by the number of the delivery in hand; as many as there are slots.
    attempts: JoinSet<(u64, Ended)>,
    /// Successors under way, at most one for each delivery in hand.
    sendings: JoinSet<(u64, Sent)>,
    /// Retired channels on their way out.
    closings: JoinSet<()>,
}

/// One queue's dispatcher. Everything in it is written by its own task only.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    setup: Setup,
    wires: Wires,
    channels: Channels,
    hand: Hand,
    memory: Memory,
    excused: Excused,
    /// Where the queue has a kill switch.
    breaker: Option<Breaker>,
    pace: Pace,
    silence: Silence,
    /// Whether the consumer is to have all it may fetch before it is cancelled. Until then the broker is not told what is done.
    brimming: bool,
    tasks: Tasks,
    /// While it holds jobs or may be given some. Not of suspects, which ask for the worker instead.
    presence: Option<Presence>,
    /// While it has asked for the worker, for a suspect.
    solo: Option<Solo>,
    /// Rings when no suspect has come for a while.
    linger: Option<Pin<Box<Sleep>>>,
    /// Rings when what is done has waited long enough for the job before it.
    moment: Option<Pin<Box<Sleep>>>,
    /// Rings when the delivery that has waited longest for a slot may be overdue.
    alarm: Option<Pin<Box<Sleep>>>,
    report: QueueReport,
}

/// Why consuming ended.
#[derive(Debug)]
enum Stop {
    /// The worker shuts down.
    Shutdown,
    /// The consumer was cancelled. Its channel can still be settled on.
    Cancelled,
    /// The channel is gone, perhaps with its connection.
    Lost(BrokerError),
    /// Half of what may be in hand waits for its successor, and the broker takes no publishes.
    Stuck(String),
    /// A suspect wants the worker for itself.
    Hushed,
    /// The kill switch: most attempts fail.
    Tripped,
    /// The kill switch: they no longer do.
    Resumed,
    /// Jobs have turned out faster or slower than those before, and as many are to be fetched as suits them; or one is long among short ones.
    Repaced,
    /// The consumer is dead, and nobody has said so.
    Silent(Silent),
}

/// What follows the end of consuming.
enum Next {
    /// Consuming again, after a pause that grows.
    AfterAPause,
    /// Consuming again.
    AtOnce,
    /// The end.
    Leave,
}

/// Why a queue is not consumed.
enum NotSubscribed {
    Topology(TopologyError),
    Broker(BrokerError),
    /// A suspect wants the worker for itself.
    Hushed,
}

/// The waits between subscriptions that do not last.
const PACE: Backoff = Backoff::exponential("100ms", "5s");

/// A subscription that lived this long was a good one: the next wait is a short one again.
const LASTING: Duration = Duration::from_secs(30);

impl Dispatcher {
    pub(crate) fn new(setup: Setup, successors: Arc<Successors>, rabbit: &Rabbit) -> Self {
        let wires = Wires {
            consuming: rabbit.consuming(),
            publishing: rabbit.publishing(),
            options: rabbit.options().clone(),
            clock: rabbit.clock(),
            successors,
        };
        Self {
            memory: Memory::new(setup.plan.fast_prefetch),
            hand: Hand::new(setup.load.clone()),
            breaker: setup.plan.kill_switch.map(Breaker::new),
            pace: Pace::new(setup.plan.concurrency, setup.plan.fast_prefetch),
            silence: Silence::new(setup.role),
            brimming: false,
            setup,
            wires,
            channels: Channels::default(),
            excused: Excused::default(),
            tasks: Tasks::default(),
            presence: None,
            solo: None,
            linger: None,
            moment: None,
            alarm: None,
            report: QueueReport::default(),
        }
    }

    /// Consumes until the worker shuts down.
    ///
    /// # Errors
    /// [`TopologyError`] if the queue was never consumed and only a person can mend why.
    pub(crate) async fn run(mut self) -> Result<QueueReport, TopologyError> {
        let mut consumed_once = false;
        let mut failures = 0;
        while let Some(session) = self.next_session().await {
            let since = self.wires.clock.now();
            match self.subscribe(&session).await {
                Ok(()) => {
                    consumed_once = true;
                    let stop = self.consume(&session).await;
                    if self.wires.clock.now() - since > LASTING {
                        failures = 0;
                    }
                    match self.stopped(stop, &*session).await {
                        Next::AfterAPause => {}
                        Next::AtOnce => continue,
                        Next::Leave => break,
                    }
                }
                Err(NotSubscribed::Hushed) => {
                    if self.wait_for_the_others().await.is_none() {
                        break;
                    }
                    continue;
                }
                Err(NotSubscribed::Topology(error)) if error.is_final() && !consumed_once => {
                    self.drain().await;
                    return Err(error);
                }
                Err(NotSubscribed::Topology(error)) => self.down(&error),
                Err(NotSubscribed::Broker(error)) => self.down(&error),
            }
            failures += 1;
            let pause = tokio::time::sleep(PACE.wait(failures, fastrand::f64()));
            if self.serve_while_running(pause).await.is_none() {
                break;
            }
        }
        self.drain().await;
        Ok(self.report)
    }

    /// Consumes until something ends it.
    async fn consume(&mut self, session: &Arc<dyn Session>) -> Stop {
        let mut phase = self.setup.phase.clone();
        let mut publishing = self.wires.publishing.state();
        let mut quiet = self.setup.quiet.watch();
        let single = self.flow() != Flow::Full;
        self.silence.begin(self.intakes());
        let mut lookout = Lookout::new(session, self.silence.wait());
        loop {
            if self.is_to_be_quiet() {
                return Stop::Hushed;
            }
            if let Some(stop) = self.flow_stop(single) {
                return stop;
            }
            tokio::select! {
                biased;
                () = leaving(&mut phase) => return Stop::Shutdown,
                // Looked at above; and a suspect may be alone now.
                () = quiet.next() => self.carry_on(),
                // Whether the broker takes publishes is looked at below, after every turn and every change of it.
                Ok(()) = publishing.changed() => {}
                stop = self.turn() => if let Some(stop) = stop {
                    return stop;
                },
                // After the turn: what has come was heard.
                signal = lookout.signal() => if let Some(stop) = self.look_out(&mut lookout, signal) {
                    return stop;
                },
            }
            if let Some(reason) = self.stuck(&publishing.borrow()) {
                return Stop::Stuck(reason);
            }
        }
    }

    /// Why the jobs that wait for their successors cannot get on, if they are half of what may be in hand.
    fn stuck(&self, publishing: &LinkState) -> Option<String> {
        if self.tasks.sendings.len() * 2 < usize::from(self.most_in_hand()) {
            return None;
        }
        match publishing {
            LinkState::Up { .. } => None,
            LinkState::Blocked { reason, .. } => Some(format!("the broker takes no publishes: {reason}")),
            _ => Some("there is no connection for publishing".to_owned()),
        }
    }

    /// Decides what follows the end of consuming.
    async fn stopped(&mut self, stop: Stop, session: &dyn Session) -> Next {
        match stop {
            Stop::Shutdown => return Next::Leave,
            Stop::Hushed => return self.hush().await,
            Stop::Tripped => return self.pause().await,
            Stop::Resumed | Stop::Repaced => return self.begin_anew().await,
            Stop::Silent(silent) => self.replace_silent(&silent).await,
            Stop::Cancelled => {
                self.taken_back(&Taking::ConsumerCancelled);
                if self.channels.bring() {
                    // Of two queues one is gone. Both are consumed anew.
                    self.halt().await;
                } else {
                    self.retire();
                }
                self.hand.doubt_leases();
            }
            Stop::Lost(error) => {
                match error.kind() {
                    BrokerErrorKind::Overdue => self.taken_back(&Taking::ChannelClosed(&error)),
                    _ => self.down(&error),
                }
                let connection_gone = matches!(*session.health().borrow(), Health::Closed(_));
                self.lose_channels(connection_gone);
            }
            Stop::Stuck(reason) => {
                self.setup.reporter.set(QueueState::Paused { reason });
                self.halt().await;
                if !self.wait_for_publishing().await {
                    return Next::Leave;
                }
            }
        }
        Next::AfterAPause
    }
}
