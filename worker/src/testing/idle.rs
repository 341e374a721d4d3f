//! Running a whole worker until nothing is left to do.

use std::sync::Arc;

use leveret::Rabbit;
use leveret::testing::TestBroker;
use leveret::topology::Topology;

use crate::joined::all_sources;
use crate::report::ExitReport;
use crate::run_error::RunError;
use crate::running::Controls;
use crate::source::Connection;
use crate::worker::Worker;

impl Worker {
    /// Runs against a [`TestBroker`] until nothing is left to do: no job waits in the worker's queues or is unsettled, none runs, and
    /// what its handlers enqueued is stored, and done too where it went to these queues. Retries count as jobs, and so does what is not due yet: it
    /// waits for that. Then it shuts down.
    ///
    /// It is exact, because the broker is in this process and knows what it holds; nothing is polled for. What it does not see: tasks
    /// that a handler spawned and did not wait for, and what a producer with connections of its own has not sent yet (await its
    /// enqueues first). On RabbitMQ, [`Worker::drain`] does the same as far as one client can see. Jobs in other queues are left alone, and so are dead letters.
    ///
    /// A job that never ends, or one that snoozes for ever, keeps it running: put a `tokio::time::timeout` round it where that could be.
    /// In paused time (`#[tokio::test(start_paused = true)]`) that costs no time.
    ///
    /// ```
    /// use leveret::Job;
    /// use leveret::testing::TestBroker;
    /// use leveret_worker::Worker;
    /// # use serde::{Deserialize, Serialize};
    ///
    /// # #[derive(Serialize, Deserialize, Job)]
    /// # #[job(queue = "mail", timeout = "30s")]
    /// # struct SendWelcome { user_id: u64 }
    /// # async fn send_welcome(_: SendWelcome) {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = TestBroker::new();
    /// broker.producer().enqueue(SendWelcome { user_id: 7 }).await?;
    ///
    /// let worker = Worker::builder(broker.url()).register(send_welcome).build()?;
    /// let report = worker.run_until_idle(&broker).await?;
    ///
    /// assert_eq!(report.queue("mail").map(|queue| queue.completed), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Worker::run_until`].
    ///
    /// # Panics
    /// The worker was built for another broker than this one.
    #[track_caller]
    pub fn run_until_idle(
        mut self,
        broker: &TestBroker,
    ) -> impl Future<Output = Result<ExitReport, RunError>> + Send + use<> {
        let options = match &self.connection {
            Connection::Own(options) => options,
            Connection::Shared(rabbit) => rabbit.options(),
        };
        assert!(
            broker.is_target_of(options),
            "the worker is built for {options}, and {} is to tell when it is idle: build it with `Worker::builder(broker.url())`",
            broker.url()
        );
        // What is due again and again leaves nobody idle.
        self.plan.schedules.clear();
        let topology = Topology::new(options.name_prefix());
        let queues = self.plan.queues.iter();
        let watch = Watch {
            queues: queues.flat_map(|one| all_sources(&topology, &one.queue)).collect(),
            topology,
            broker: broker.clone(),
            controls: Arc::clone(&self.stopped.0),
        };
        async move {
            let handle = self.handle();
            self.run_until(async move {
                // What keeps it from being ready for good ends the worker, and this with it.
                handle.ready().await;
                watch.idle().await;
            })
            .await
        }
    }
}

/// All that knows of work.
struct Watch {
    broker: TestBroker,
    controls: Arc<Controls>,
    /// Where the jobs of its queues are that can be run.
    queues: Vec<String>,
    topology: Topology,
}

impl Watch {
    /// Resolves when there is none.
    ///
    /// Work goes round: a queue, the hand, perhaps the producer's ledger, a queue. Each is asked in turn, so a job could slip from one
    /// that was not asked yet to one that was. But it cannot do so without a change in a queue: where the broker counts none from the
    /// first question to the last, there was no work at any moment in between.
    async fn idle(&self) {
        let memory = self.broker.memory();
        loop {
            self.controls.load.gone().await;
            let rabbit = self.controls.rabbit();
            if let Some(rabbit) = &rabbit {
                rabbit.enqueues().emptied().await;
            }
            let seen = memory.changes();
            let is_free = self.controls.load.is_none() && rabbit.as_ref().is_none_or(is_quiet);
            match (is_free, self.queues_are_empty()) {
                (true, true) if memory.changes() == seen => return,
                (_, false) => memory.changed_since(seen).await,
                _ => {}
            }
        }
    }

    fn queues_are_empty(&self) -> bool {
        let depths = self.queues.iter().filter_map(|queue| self.broker.memory().depth(queue));
        depths.into_iter().all(|depth| depth.ready + depth.unacked == 0) && !self.something_waits()
    }

    /// Whether a job of its queues is not due yet.
    fn something_waits(&self) -> bool {
        let memory = self.broker.memory();
        let mut waiting = self
            .topology
            .delay_queues()
            .flat_map(|level| memory.destinations(&level));
        waiting.any(|destination| {
            let queue = self.topology.arrives_in(&destination);
            queue.is_some_and(|queue| self.queues.contains(&queue))
        })
    }
}

fn is_quiet(rabbit: &Rabbit) -> bool {
    rabbit.enqueues().is_empty()
}
