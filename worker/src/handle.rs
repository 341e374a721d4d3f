//! Watching and stopping a worker from elsewhere: [`WorkerHandle`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use leveret::{Producer, Rabbit};

use crate::dispatcher::Phase;
use crate::health::{QueueState, WorkerHealth};
use crate::running::Controls;
use crate::schedule::ScheduleState;

/// Watches and stops a [`Worker`](crate::Worker) from elsewhere: a readiness probe, an admin endpoint, a test. Cheap to clone.
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
/// let worker = Worker::builder("memory://handle-docs").register(send_welcome).build()?;
/// let handle = worker.handle();
/// let running = tokio::spawn(worker.run_until_signal());
///
/// assert!(handle.ready().await);
/// println!("{:?}", handle.state()); // {"mail": Consuming, "mail.suspect": Consuming}
/// handle.shutdown();
/// println!("{}", running.await??);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    controls: Arc<Controls>,
}

impl WorkerHandle {
    pub(crate) fn new(controls: Arc<Controls>) -> Self {
        Self { controls }
    }

    /// Asks the worker to shut down: no new jobs, running ones may finish within the grace.
    pub fn shutdown(&self) {
        self.controls.advance(Phase::Draining);
    }

    /// Asks the worker to end now: running handlers are aborted, their jobs are delivered again elsewhere.
    pub fn abort(&self) {
        self.controls.advance(Phase::Aborting);
    }

    /// Whether every queue of the worker is being consumed at this moment.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        ready(&self.controls.board.borrow())
    }

    /// Waits until every queue of the worker is being consumed. `false`: the worker ended before that.
    pub async fn ready(&self) -> bool {
        let mut board = self.controls.board.subscribe();
        let mut is_ready = false;
        let decided = board.wait_for(|states| {
            is_ready = ready(states);
            is_ready || stopped(states)
        });
        // An error means that the worker is gone, which it is not ready by.
        let _ = decided.await.map(drop);
        is_ready
    }

    /// What the worker is doing, by queue name.
    #[must_use]
    pub fn state(&self) -> BTreeMap<String, QueueState> {
        self.controls.board.borrow().clone()
    }

    /// Waits until the state differs from `last`, and gives it; for health endpoints that push.
    pub async fn changed(&self, last: &BTreeMap<String, QueueState>) -> BTreeMap<String, QueueState> {
        let mut board = self.controls.board.subscribe();
        match board.wait_for(|states| states != last).await {
            Ok(states) => states.clone(),
            // The handle itself keeps the board's sender.
            Err(_) => self.state(),
        }
    }

    /// What the worker's schedules are doing, by name.
    #[must_use]
    pub fn schedules(&self) -> BTreeMap<String, ScheduleState> {
        self.controls.schedules.borrow().clone()
    }

    /// Waits until the state of a schedule differs from `last`, and gives it.
    pub async fn schedules_changed(&self, last: &BTreeMap<String, ScheduleState>) -> BTreeMap<String, ScheduleState> {
        let mut board = self.controls.schedules.subscribe();
        match board.wait_for(|states| states != last).await {
            Ok(states) => states.clone(),
            // The handle itself keeps the board's sender.
            Err(_) => self.schedules(),
        }
    }

    /// The state in a form that a health endpoint can answer with.
    ///
    /// ```
    /// # use leveret_worker::WorkerHandle;
    /// /// `/healthz`: restart the process when it is not 200. `/readyz` asks `is_ready()` the same way.
    /// fn healthz(worker: &WorkerHandle) -> (u16, String) {
    ///     let health = worker.health();
    ///     (if health.is_alive() { 200 } else { 503 }, health.to_string())
    /// }
    /// ```
    #[must_use]
    pub fn health(&self) -> WorkerHealth {
        WorkerHealth::of(&self.controls)
    }

    /// Where the [health endpoint](crate::WorkerBuilder::health_endpoint) listens, as soon as the worker runs; `None` where there is none.
    #[must_use]
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.controls.health_address()
    }

    /// Waits until the worker begins to end, for whatever reason: a signal, [`WorkerHandle::shutdown`], an error. What shall
    /// end together with it, such as the HTTP server of the same process, waits for this.
    pub async fn shutting_down(&self) {
        let mut phase = self.controls.phase.subscribe();
        // The handle itself keeps the sender.
        let _ = phase.wait_for(|phase| *phase > Phase::Running).await;
    }

    /// A producer on the worker's connections, while the worker runs; `None` before and after.
    #[must_use]
    pub fn producer(&self) -> Option<Producer> {
        self.controls.rabbit().as_ref().map(Rabbit::producer)
    }
}

fn ready(states: &BTreeMap<String, QueueState>) -> bool {
    !states.is_empty() && states.values().all(|state| *state == QueueState::Consuming)
}

fn stopped(states: &BTreeMap<String, QueueState>) -> bool {
    states.values().any(|state| *state == QueueState::Stopped)
}
