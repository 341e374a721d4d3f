//! The worker: its queues' dispatchers, from the start to the last settlement.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use leveret::topology::TopologyError;
use leveret::watch;
use leveret::{ConnectError, Rabbit};
use tokio::task::JoinSet;

use crate::builder::WorkerBuilder;
use crate::context::Surroundings;
use crate::dispatcher::{Dispatcher, Phase, Setup};
use crate::handle::WorkerHandle;
use crate::health::{Board, QueueState, Reporter};
use crate::load::Load;
use crate::plan::Plan;
use crate::report::{ExitReport, QueueReport};
use crate::signals;
use crate::source::{Connection, Source};

/// Runs the handlers of an application's jobs. See the [crate's documentation](crate) for a whole program.
///
/// ```
/// # use leveret::{Job, Queue};
/// # use leveret_worker::Worker;
/// # #[derive(serde::Serialize, serde::Deserialize, Job)]
/// # #[job(queue = "mail", timeout = "30s")]
/// # struct SendWelcome { user_id: u64 }
/// # async fn send_welcome(_: SendWelcome) {}
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let worker = Worker::builder("memory://worker-docs").register(send_welcome).build()?;
/// let handle = worker.handle();
/// let report = worker
///     .run_until(async move {
///         handle.ready().await; // a service waits for a signal: `run_until_signal()`
///     })
///     .await?;
/// assert!(report.is_clean());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    pub(crate) plan: Plan,
    pub(crate) connection: Connection,
    pub(crate) controls: Arc<Controls>,
}

/// What a worker and its handles share.
#[derive(Debug)]
pub(crate) struct Controls {
    /// Written by the worker and its handles, read by the dispatchers.
    pub(crate) phase: watch::Sender<Phase>,
    /// Written by the dispatchers, read by the handles.
    pub(crate) board: Arc<Board>,
    /// Written by the dispatchers, read by whoever waits until nothing is in hand.
    pub(crate) load: Arc<Load>,
    /// Set once the worker runs.
    pub(crate) rabbit: OnceLock<Rabbit>,
}

impl Controls {
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
}

type Dispatchers = JoinSet<(String, Result<QueueReport, TopologyError>)>;

impl Worker {
    /// Begins to build a worker. `source` is a URL or [`ConnectOptions`](leveret::ConnectOptions), for connections of its own, or a
    /// [`&Rabbit`](leveret::Rabbit) to share those of the process.
    pub fn builder(source: impl Into<Source>) -> WorkerBuilder {
        WorkerBuilder::new(source.into())
    }

    pub(crate) fn new(plan: Plan, connection: Connection) -> Self {
        let controls = Controls {
            phase: watch::Sender::new(Phase::Running),
            board: Arc::default(),
            load: Arc::default(),
            rabbit: OnceLock::new(),
        };
        for queue in &plan.queues {
            Reporter::new(queue.queue.name(), controls.board.clone());
        }
        Self {
            plan,
            connection,
            controls: Arc::new(controls),
        }
    }

    /// A handle to watch and stop the worker from elsewhere.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle::new(self.controls.clone())
    }

    /// Runs until `shutdown` resolves (or a handle asks for it), then lets running jobs finish within the grace. Broker outages
    /// do not end it. Dropping the future aborts everything at once; the broker then delivers the unsettled jobs again.
    ///
    /// # Errors
    /// [`RunError`] if the connection options cannot be used on this system, or a queue exists with other settings than this worker wants.
    pub async fn run_until(self, shutdown: impl Future) -> Result<ExitReport, RunError> {
        self.run(shutdown, std::future::pending::<()>()).await
    }

    /// Runs until the process is asked to end (SIGINT or SIGTERM; Ctrl-C on Windows), then like [`Worker::run_until`]. A second signal
    /// aborts the handlers that still run; their jobs are delivered again elsewhere.
    ///
    /// # Errors
    /// As [`Worker::run_until`], and if the signals cannot be listened to.
    pub async fn run_until_signal(self) -> Result<ExitReport, RunError> {
        let mut signals = signals::listen().map_err(|error| RunError(Kind::Signals(error.to_string())))?;
        let first = watch::Sender::new(false);
        let mut heard = first.subscribe();
        let second = async move {
            signals.recv().await;
            tracing::info!("shutting down; another signal aborts the running jobs");
            first.send_replace(true);
            signals.recv().await;
            tracing::warn!("aborting the running jobs");
        };
        // The first is told by the second, which listens all the time.
        let first = async move { drop(heard.wait_for(|heard| *heard).await) };
        self.run(first, second).await
    }

    async fn run(self, shutdown: impl Future, abort: impl Future) -> Result<ExitReport, RunError> {
        let Self {
            plan,
            connection,
            controls,
        } = self;
        let _stopped = StoppedAtLast(controls.clone());
        let (rabbit, own) = match connection {
            Connection::Own(options) => (
                Rabbit::start(*options).map_err(|error| RunError(Kind::Connect(error)))?,
                true,
            ),
            Connection::Shared(rabbit) => (rabbit, false),
        };
        let routes = plan.routes.iter();
        let rabbit = routes.fold(rabbit, |rabbit, route| {
            (route.of_producers)(rabbit, route.queue.clone())
        });
        let _ = controls.rabbit.set(rabbit.clone());
        let mut dispatchers = start(plan, &rabbit, &controls);
        let result = watch_over(&mut dispatchers, &controls, shutdown, abort).await;
        drop(dispatchers);
        if own {
            rabbit.close().await;
        }
        result
    }
}

fn start(plan: Plan, rabbit: &Rabbit, controls: &Controls) -> Dispatchers {
    let mut dispatchers = JoinSet::new();
    for queue in plan.queues {
        let name = queue.queue.name().to_owned();
        let surroundings = Surroundings {
            queue: name.clone(),
            worker: plan.settings.name.clone(),
            states: plan.states.clone(),
            producer: Some(rabbit.producer()),
        };
        let setup = Setup {
            plan: queue,
            registry: plan.registry.clone(),
            surroundings: Arc::new(surroundings),
            reporter: Reporter::new(&name, controls.board.clone()),
            load: controls.load.clone(),
            phase: controls.phase.subscribe(),
            shutdown_grace: plan.settings.shutdown_grace,
        };
        let dispatcher = Dispatcher::new(setup, rabbit);
        dispatchers.spawn(async move { (name, dispatcher.run().await) });
    }
    dispatchers
}

/// Waits for the dispatchers to end, and passes on what ends them. One that fails ends them all.
async fn watch_over(
    dispatchers: &mut Dispatchers,
    controls: &Controls,
    shutdown: impl Future,
    abort: impl Future,
) -> Result<ExitReport, RunError> {
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
            ended = dispatchers.join_next() => match ended {
                None => break,
                Some(Ok((name, Ok(queue)))) => report.add(name, queue),
                Some(Ok((queue, Err(error)))) => {
                    controls.advance(Phase::Draining);
                    failure.get_or_insert(RunError(Kind::Topology { queue, error }));
                }
                // A dispatcher runs no code of the application, so this is a fault of ours: it must not pass for an end.
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }
    failure.map_or(Ok(report), Err)
}

/// However a worker ends, whoever watches it learns that it has.
struct StoppedAtLast(Arc<Controls>);

impl Drop for StoppedAtLast {
    fn drop(&mut self) {
        self.0.advance(Phase::Draining);
        self.0.board.send_modify(|states| {
            for state in states.values_mut() {
                *state = QueueState::Stopped;
            }
        });
    }
}

/// Why a worker could not run.
#[derive(Debug, Clone)]
pub struct RunError(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Connect(ConnectError),
    Topology { queue: String, error: TopologyError },
    Signals(String),
}

impl RunError {
    /// Whether a queue is not there as this worker needs it.
    #[must_use]
    pub fn is_topology(&self) -> bool {
        matches!(self.0, Kind::Topology { .. })
    }

    /// Whether the connection options cannot be used.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self.0, Kind::Connect(_))
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Connect(error) => write!(f, "the worker cannot connect: {error}"),
            Kind::Topology { queue, error } => write!(f, "the worker cannot consume the queue `{queue}`: {error}"),
            Kind::Signals(error) => write!(f, "the worker cannot listen to signals: {error}"),
        }
    }
}

impl std::error::Error for RunError {}
