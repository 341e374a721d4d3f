//! A queue of each test's own, a worker on it that can be stopped, and handlers that can be counted and held.

use std::sync::Arc;

use leveret::{ConnectOptions, Job, JobId, Message, Producer, Queue, Rabbit};
use leveret_tests::signal::{Counter, Gate, eventually, soon};
use leveret_tests::{shared, taker};
use leveret_worker::{Context, ExitReport, QueueReport, RunError, Worker, WorkerBuilder, WorkerHandle};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

/// The job of these tests; it goes to whichever queue the test owns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = "unused", max_attempts = 3, timeout = "60s")]
pub(crate) struct Note {
    pub(crate) number: u64,
}

/// A queue that no other test uses.
pub(crate) fn own_queue(name: &str) -> Queue {
    Queue::named(format!("{name}-{}", JobId::random())).expect("short enough")
}

/// A test's queue, and the connections of one process to the broker.
pub(crate) struct Bench {
    pub(crate) queue: Queue,
    pub(crate) rabbit: Rabbit,
    pub(crate) producer: Producer,
}

impl Bench {
    /// On the node that the tests of this process share.
    pub(crate) async fn new(queue: Queue) -> Self {
        Self::at(&shared().await.amqp_url(), queue).await
    }

    pub(crate) async fn at(url: &str, queue: Queue) -> Self {
        let options: ConnectOptions = url.parse().expect("a good URL");
        let rabbit = Rabbit::connect(options).await.expect("the node answers");
        let producer = rabbit.producer();
        Self {
            queue,
            rabbit,
            producer,
        }
    }

    /// A worker that takes its notes from this queue.
    pub(crate) fn worker(&self) -> WorkerBuilder {
        Worker::builder(&self.rabbit)
            .name("tests")
            .route::<Note>(self.queue.clone())
    }

    pub(crate) async fn enqueue(&self, numbers: impl IntoIterator<Item = u64>) {
        let envelope = |number| {
            leveret::Envelope::new(Note { number })
                .expect("plain")
                .with_queue(self.queue.clone())
        };
        let results = self.producer.enqueue_envelopes(numbers.into_iter().map(envelope)).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    /// Waits until no job of the queue is ready.
    pub(crate) async fn wait_for_ready(&self, ready: u32) {
        let queue = self.queue.name();
        let holds = async || taker::depth(&self.rabbit, queue).await == ready;
        eventually(format!("{queue} has {ready} ready"), holds).await;
    }

    /// Takes the dead letters of the queue, once there are `count`.
    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<Message> {
        taker::take(&self.rabbit, &format!("{}.dead", self.queue.name()), count).await
    }

    /// How many dead letters there are now.
    pub(crate) async fn dead_letter_count(&self) -> u32 {
        taker::depth(&self.rabbit, &format!("{}.dead", self.queue.name())).await
    }
}

/// A header's text.
pub(crate) fn text<'a>(message: &'a Message, header: &str) -> &'a str {
    message
        .properties
        .headers
        .get(header)
        .and_then(|value| value.as_text())
        .unwrap_or_default()
}

/// A worker that runs.
pub(crate) struct Running {
    pub(crate) handle: WorkerHandle,
    task: JoinHandle<Result<ExitReport, RunError>>,
}

impl Running {
    /// Starts a worker and waits until it consumes.
    pub(crate) async fn start(builder: WorkerBuilder) -> Self {
        let worker = builder.build().expect("it is well put together");
        let running = Self {
            handle: worker.handle(),
            task: tokio::spawn(worker.run_until(std::future::pending::<()>())),
        };
        running.wait_until_ready().await;
        running
    }

    pub(crate) async fn wait_until_ready(&self) {
        assert!(soon("a worker that consumes", self.handle.ready()).await);
    }

    /// Watches from now on: the task ends once the worker has stopped consuming and consumes again.
    pub(crate) fn consumes_anew(&self) -> JoinHandle<()> {
        let handle = self.handle.clone();
        tokio::spawn(async move {
            let mut state = handle.state();
            while handle.is_ready() {
                state = soon("a worker that notices its loss", handle.changed(&state)).await;
            }
            assert!(soon("a worker that consumes again", handle.ready()).await);
        })
    }

    /// Shuts it down and waits for its end.
    pub(crate) async fn stop(self) -> ExitReport {
        self.handle.shutdown();
        self.join().await
    }

    /// Waits for its end.
    pub(crate) async fn join(self) -> ExitReport {
        soon("the end of the worker", self.task)
            .await
            .expect("no panic")
            .expect("it could run")
    }

    /// What it did on its only queue, after its end.
    pub(crate) async fn stop_one(self) -> QueueReport {
        let report = self.stop().await;
        let (_, queue) = report.queues().next().expect("it has a queue");
        queue
    }
}

/// What happens in handlers, for the test to see, and a gate that it can hold them at.
#[derive(Clone)]
pub(crate) struct Probe {
    /// Runs that began.
    pub(crate) runs: Counter,
    /// Runs that came to their end.
    pub(crate) ends: Counter,
    pub(crate) gate: Gate,
    attempts: Arc<std::sync::Mutex<Vec<(u64, u32)>>>,
}

impl Probe {
    pub(crate) fn new() -> Self {
        Self {
            runs: Counter::new("runs"),
            ends: Counter::new("ends of runs"),
            gate: Gate::closed("handlers at the gate"),
            attempts: Arc::default(),
        }
    }

    /// For a handler: writes down that it runs, and waits until the test lets it go on.
    pub(crate) async fn hold(&self, number: u64, context: &Context) {
        self.run(number, context);
        self.gate.pass().await;
        self.ends.add();
    }

    /// For a handler: writes down that it runs.
    pub(crate) fn run(&self, number: u64, context: &Context) {
        self.attempts
            .lock()
            .expect("no panic")
            .push((number, context.attempt()));
        self.runs.add();
    }

    /// Every run so far: the note's number and the attempt.
    pub(crate) fn attempts(&self) -> Vec<(u64, u32)> {
        self.attempts.lock().expect("no panic").clone()
    }
}
