//! The worker: its queues' dispatchers, from the start to the last settlement.

use std::future::Future;
use std::sync::Arc;

use leveret::watch;

use crate::builder::WorkerBuilder;
use crate::config::QueuePlan;
use crate::drain::Drain;
use crate::handle::WorkerHandle;
use crate::plan::Plan;
use crate::report::ExitReport;
use crate::run_error::RunError;
use crate::running::{Controls, Running, StoppedAtLast};
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
    pub(crate) stopped: StoppedAtLast,
}

impl Worker {
    /// Begins to build a worker. `source` is a URL or [`ConnectOptions`](leveret::ConnectOptions), for connections of its own, or a
    /// [`&Rabbit`](leveret::Rabbit) to share those of the process.
    pub fn builder(source: impl Into<Source>) -> WorkerBuilder {
        WorkerBuilder::new(source.into())
    }

    pub(crate) fn new(plan: Plan, connection: Connection) -> Self {
        let queues = plan.queues.iter().flat_map(QueuePlan::sources);
        let controls = Controls::new(queues, plan.schedules.iter().map(|schedule| schedule.name.as_str()));
        Self {
            plan,
            connection,
            stopped: StoppedAtLast(controls),
        }
    }

    /// A handle to watch and stop the worker from elsewhere.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle::new(Arc::clone(&self.stopped.0))
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
        let mut signals = signals::listen().map_err(|error| RunError::signals(&error))?;
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
        let mut running = Running::start(self.plan, self.connection, self.stopped)?;
        let result = running.watch(shutdown, abort).await;
        running.close().await;
        result
    }

    /// Runs until nothing is left to do, then shuts down in order: for batch pods that a scheduler starts, for tests, for CI. That is when
    /// every queue of the worker is empty in the broker, no job is in hand here, and no retry or dead letter waits to be stored; it is
    /// looked at twice in succession, a moment apart, and the broker is asked only while the worker is idle. Lost connections are outlived, and
    /// what was on them is waited for. [`ExitReport::unseen`] says what could not be seen.
    ///
    /// What is not due yet, delayed jobs and retries that wait, is left in the broker: the next drain finds it. [`Unseen::delayed`](crate::Unseen::delayed)
    /// says how much there is.
    ///
    /// A job that is snoozed, or tried again, at once and without end keeps the worker running, and so does a producer that goes on, or a broker
    /// that cannot be reached: [`Worker::drain_until`] sets a limit.
    ///
    /// # Errors
    /// As [`Worker::run_until`], and if the broker refuses to say how full a queue is (RabbitMQ 4.3 asks for the permission `configure`).
    ///
    /// ```
    /// # use leveret::{Job, Producer, Queue};
    /// # use leveret_worker::Worker;
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail", timeout = "30s")]
    /// # struct SendWelcome { user_id: u64 }
    /// # async fn send_welcome(_: SendWelcome) {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let producer = Producer::connect("memory://drain-docs").await?;
    /// producer.enqueue(SendWelcome { user_id: 7 }).await?;
    ///
    /// let worker = Worker::builder("memory://drain-docs").register(send_welcome).build()?;
    /// let report = worker.drain().await?;
    ///
    /// assert!(report.is_drained());
    /// println!("{report}"); // mail: 1 completed, … ; drained; mail: 0 ready when last asked, 0 other consumers
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drain(self) -> Result<ExitReport, RunError> {
        self.drain_until(std::future::pending::<()>()).await
    }

    /// The same, but no longer than until `limit` resolves; [`ExitReport::is_drained`] says which it was.
    ///
    /// # Errors
    /// As [`Worker::drain`].
    ///
    /// ```no_run
    /// # async fn example(worker: leveret_worker::Worker) -> Result<(), leveret_worker::RunError> {
    /// use std::time::Duration;
    ///
    /// let report = worker.drain_until(tokio::time::sleep(Duration::from_secs(600))).await?;
    /// if !report.is_drained() {
    ///     println!("ten minutes were not enough: {report}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drain_until(mut self, limit: impl Future) -> Result<ExitReport, RunError> {
        // What is due again and again is never drained.
        self.plan.schedules.clear();
        let queues: Vec<_> = self.plan.queues.iter().map(|one| one.queue.clone()).collect();
        let mut running = Running::start(self.plan, self.connection, self.stopped)?;
        let mut drain = Drain::new(running.rabbit.clone(), Arc::clone(&running.stopped.0), &queues);
        let mut emptied = None;
        let shutdown = async {
            tokio::select! {
                biased;
                end = drain.emptied() => emptied = Some(end),
                _ = limit => {}
            }
        };
        let result = running.watch(shutdown, std::future::pending::<()>()).await;
        let result = match (result, emptied) {
            (Err(error), _) | (Ok(_), Some(Err(error))) => Err(error),
            (Ok(report), emptied) => Ok(report.of_a_drain(drain.unseen(emptied.is_some()).await)),
        };
        running.close().await;
        result
    }
}
