//! A worker that runs: its connections, its queues' dispatchers, and what its handles see of it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use leveret::topology::TopologyError;
use leveret::{Rabbit, watch};
use tokio::task::JoinSet;

use crate::context::Surroundings;
use crate::dispatcher::{Dispatcher, Phase, Role, Setup};
use crate::endpoint::Endpoint;
use crate::health::{Board, QueueState, Reporter};
use crate::load::Load;
use crate::plan::Plan;
use crate::pulse::Pulses;
use crate::report::{ExitReport, QueueReport};
use crate::run_error::RunError;
use crate::schedule::{self, Leader, SchedulePlan, ScheduleState};
use crate::settling::Successors;
use crate::source::Connection;
use crate::upkeep::Upkeep;

/// What a worker and its handles share.
#[derive(Debug)]
pub(crate) struct Controls {
    /// Written by the worker and its handles, read by the dispatchers.
    pub(crate) phase: watch::Sender<Phase>,
    /// Written by the dispatchers, read by the handles.
    pub(crate) board: Arc<Board>,
    /// Written by the schedules, read by the handles.
    pub(crate) schedules: Arc<schedule::Board>,
    /// Written by the dispatchers, read by whoever waits until nothing is in hand.
    pub(crate) load: Arc<Load>,
    /// Written by the dispatchers, read by whoever drains the worker.
    pub(crate) pulses: Pulses,
    /// There while the worker runs, and not longer: a handle that is kept must not keep connections.
    rabbit: Mutex<Option<Rabbit>>,
    /// Where the health endpoint listens, or listened.
    address: OnceLock<SocketAddr>,
}

impl Controls {
    /// For a worker with these queues.
    pub(crate) fn new<'a>(
        queues: impl IntoIterator<Item = String>,
        schedules: impl IntoIterator<Item = &'a str>,
    ) -> Arc<Self> {
        let board = Arc::default();
        let pulse = |queue: String| {
            Reporter::new(&queue, Arc::clone(&board));
            (queue, Arc::default())
        };
        let timetable = Arc::default();
        for schedule in schedules {
            schedule::Reporter::new(schedule, Arc::clone(&timetable));
        }
        let pulses = queues.into_iter().map(pulse).collect();
        Arc::new(Self {
            phase: watch::Sender::new(Phase::Running),
            board,
            schedules: timetable,
            load: Arc::default(),
            pulses,
            rabbit: Mutex::default(),
            address: OnceLock::new(),
        })
    }

    /// Goes on to a phase; never back.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let further = phase > *now;
            if further {
                *now = phase;
            }
            further
        });
    }

    /// The connections of the worker while it runs.
    pub(crate) fn rabbit(&self) -> Option<Rabbit> {
        self.rabbit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The health endpoint listens.
    pub(crate) fn listens_on(&self, address: SocketAddr) {
        // A worker runs once, so there is none yet.
        let _ = self.address.set(address);
    }

    pub(crate) fn health_address(&self) -> Option<SocketAddr> {
        self.address.get().copied()
    }

    fn set_rabbit(&self, rabbit: Option<Rabbit>) {
        let mut slot = self.rabbit.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *slot, rabbit);
        // What it holds ends outside the lock.
        drop(slot);
        drop(before);
    }
}

/// However a worker ends, run or not, whoever watches it learns that it has.
#[derive(Debug)]
pub(crate) struct StoppedAtLast(pub(crate) Arc<Controls>);

impl Drop for StoppedAtLast {
    fn drop(&mut self) {
        self.0.set_rabbit(None);
        self.0.advance(Phase::Draining);
        self.0.board.send_modify(|states| {
            for state in states.values_mut() {
                *state = QueueState::Stopped;
            }
        });
        self.0.schedules.send_modify(|states| {
            for state in states.values_mut() {
                *state = ScheduleState::Stopped;
            }
        });
    }
}

/// Each ends with the name of its queue, or its schedule's queue, if it has one; only what consumes has a report.
type Tasks = JoinSet<(String, Result<Option<QueueReport>, TopologyError>)>;

/// A worker that runs. Dropping it aborts everything.
#[derive(Debug)]
pub(crate) struct Running {
    tasks: Tasks,
    pub(crate) rabbit: Rabbit,
    /// Whether the connections are the worker's own, to be closed with it.
    own: bool,
    pub(crate) stopped: StoppedAtLast,
    endpoint: Option<Endpoint>,
}

impl Running {
    /// Starts a dispatcher for each queue and a leader for each schedule.
    pub(crate) fn start(plan: Plan, connection: Connection, stopped: StoppedAtLast) -> Result<Self, RunError> {
        let (rabbit, own) = match connection {
            Connection::Own(options) => (Rabbit::start(*options).map_err(RunError::connect)?, true),
            Connection::Shared(rabbit) => (rabbit, false),
        };
        let endpoint = open_endpoint(&plan, &rabbit, &stopped.0)?;
        // A route of the worker's holds for what its handlers enqueue as well.
        let rabbit = plan.routes.iter().fold(rabbit, |rabbit, route| {
            (route.of_producers)(rabbit, route.queue.clone())
        });
        stopped.0.set_rabbit(Some(rabbit.clone()));
        Ok(Self {
            tasks: start(plan, &rabbit, &stopped.0),
            rabbit,
            own,
            stopped,
            endpoint,
        })
    }

    /// Waits for all tasks to end, and passes on what ends them. One that fails ends them all.
    pub(crate) async fn watch(&mut self, shutdown: impl Future, abort: impl Future) -> Result<ExitReport, RunError> {
        let controls = &self.stopped.0;
        let (mut shutdown, mut abort) = (pin!(shutdown), pin!(abort));
        let (mut shutting_down, mut aborting) = (false, false);
        let mut report = ExitReport::default();
        let mut failure = None;
        loop {
            tokio::select! {
                biased;
                _ = &mut abort, if !aborting => {
                    aborting = true;
                    controls.advance(Phase::Aborting);
                }
                _ = &mut shutdown, if !shutting_down => {
                    shutting_down = true;
                    controls.advance(Phase::Draining);
                }
                ended = self.tasks.join_next() => match ended {
                    None => break,
                    Some(Ok((name, Ok(Some(queue))))) => report.add(name, queue),
                    Some(Ok((_, Ok(None)))) => {}
                    Some(Ok((queue, Err(error)))) => {
                        controls.advance(Phase::Draining);
                        failure.get_or_insert(RunError::topology(queue, error));
                    }
                    // No task runs code of the application unguarded, so this is a fault of ours: it must not pass for an end.
                    Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                },
            }
        }
        failure.map_or(Ok(report), Err)
    }

    /// Closes the connections, if they are its own.
    pub(crate) async fn close(self) {
        drop(self.tasks);
        if self.own {
            self.rabbit.close().await;
        }
        if let Some(endpoint) = self.endpoint {
            endpoint.close().await;
        }
    }
}

/// Before anything is consumed: a port that is taken is a mistake in the set-up.
fn open_endpoint(plan: &Plan, rabbit: &Rabbit, controls: &Arc<Controls>) -> Result<Option<Endpoint>, RunError> {
    let Some(addresses) = &plan.settings.health_endpoint else {
        return Ok(None);
    };
    let two_heartbeats = 2 * u64::from(rabbit.options().heartbeat_seconds());
    let opened = Endpoint::open(addresses, two_heartbeats, controls);
    opened.map(Some).map_err(|error| RunError::endpoint(addresses, &error))
}

fn start(plan: Plan, rabbit: &Rabbit, controls: &Controls) -> Tasks {
    let mut tasks = JoinSet::new();
    let (longest_hold, schedules) = (plan.settings.longest_hold(), plan.schedules);
    let (quiet, mut kept) = (Arc::default(), Vec::new());
    for queue in plan.queues {
        let name = queue.queue.name().to_owned();
        let worker = plan.settings.name.clone();
        let successors = Arc::new(Successors::new(queue.queue.clone(), worker.clone(), rabbit));
        kept.push(Arc::clone(&successors));
        let surroundings = Arc::new(Surroundings {
            queue: name.clone(),
            worker,
            states: plan.states.clone(),
            producer: Some(rabbit.producer()),
        });
        let suspects = (Role::Suspects, queue.suspects(), queue.of_suspects());
        for (role, source, plan_of_queue) in [(Role::Work, name.clone(), queue), suspects] {
            let setup = Setup {
                role,
                plan: plan_of_queue,
                quiet: Arc::clone(&quiet),
                registry: plan.registry.clone(),
                surroundings: Arc::clone(&surroundings),
                reporter: Reporter::new(&source, controls.board.clone()),
                load: controls.load.clone(),
                pulse: controls.pulses.get(&source).cloned().unwrap_or_default(),
                phase: controls.phase.subscribe(),
                shutdown_grace: plan.settings.shutdown_grace,
                source,
            };
            let dispatcher = Dispatcher::new(setup, Arc::clone(&successors), rabbit);
            let name = name.clone();
            tasks.spawn(async move { (name, dispatcher.run().await.map(Some)) });
        }
    }
    if let Some(upkeep) = Upkeep::new(kept, rabbit, controls.phase.subscribe()) {
        tasks.spawn(async move {
            upkeep.run().await;
            (String::new(), Ok(None))
        });
    }
    lead(&mut tasks, schedules, longest_hold, (rabbit, controls));
    tasks
}

fn lead(tasks: &mut Tasks, schedules: Vec<SchedulePlan>, longest_hold: Duration, of: (&Rabbit, &Controls)) {
    let (rabbit, controls) = of;
    for plan in schedules {
        let setup = schedule::Setup {
            reporter: schedule::Reporter::new(&plan.name, controls.schedules.clone()),
            plan,
            phase: controls.phase.subscribe(),
            longest_hold,
        };
        let leader = Leader::new(setup, rabbit);
        let name = leader.queue().to_owned();
        tasks.spawn(async move { (name, leader.run().await.map(|()| None)) });
    }
}
