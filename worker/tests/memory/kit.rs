//! What every test here needs: a broker of its own, a worker that can be stopped, handlers that can be watched and held.

use std::sync::Arc;
use std::time::Duration;

use leveret::broker::Destination;
use leveret::broker::memory::{Fault, FaultPoint, MemoryBroker, MemoryDepth};
use leveret::topology::Topology;
use leveret::{Backoff, ConnectOptions, Job, Message, Producer, Queue, Rabbit, TopologyMode};
use leveret_worker::{Context, ExitReport, RunError, Worker, WorkerBuilder, WorkerHandle};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

pub(crate) const MAIL: Queue = Queue::new("mail");

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = MAIL, max_attempts = 3, backoff = Backoff::exponential("1s", "1m"), timeout = "30s")]
pub(crate) struct Note {
    pub(crate) number: u64,
}

/// A broker, and the connections of one process to it.
pub(crate) struct Stand {
    pub(crate) broker: MemoryBroker,
    pub(crate) rabbit: Rabbit,
    pub(crate) producer: Producer,
}

impl Stand {
    pub(crate) fn new() -> Self {
        Self::on(MemoryBroker::new(), TopologyMode::Declare)
    }

    pub(crate) fn on(broker: MemoryBroker, mode: TopologyMode) -> Self {
        let options = ConnectOptions::default().topology(mode);
        let rabbit = Rabbit::with_broker(Arc::new(broker.clone()), options).expect("in a runtime");
        let producer = rabbit.producer();
        Self {
            broker,
            rabbit,
            producer,
        }
    }

    /// What waits in the delay ladder.
    pub(crate) fn delayed(&self) -> Vec<Message> {
        let topology = Topology::new("leveret");
        let levels = topology.delay_queues();
        levels.flat_map(|level| self.broker.messages(&level)).collect()
    }

    pub(crate) fn worker(&self) -> WorkerBuilder {
        Worker::builder(&self.rabbit).name("tests")
    }

    pub(crate) async fn enqueue(&self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.producer
                .enqueue(Note { number })
                .await
                .expect("the queue takes it");
        }
    }

    /// Stores a job past the connections of this process: neither an alarm nor a fault stops it.
    pub(crate) fn store<J: Job>(&self, job: J) {
        let envelope = leveret::Envelope::new(job).expect("plain");
        let message = envelope
            .to_message(&leveret::envelope::Limits::default())
            .expect("small");
        self.broker
            .publish_raw(&Destination::queue(J::QUEUE.name()), &message)
            .expect("stored");
    }

    /// Stores a message of another program in [`MAIL`].
    pub(crate) fn foreign(&self, kind: Option<&str>, body: &'static [u8]) {
        self.broker
            .publish_raw(&Destination::queue("mail"), &foreign(kind, body))
            .expect("stored");
    }

    /// From now on the broker refuses whatever is published, until it is healed.
    pub(crate) fn nack_publishes(&self) {
        self.broker.set_faults(|point| match point {
            FaultPoint::Publish => Fault::Nack,
            _ => Fault::None,
        });
    }

    /// Cuts the connection for consuming, and waits until the worker consumes on another.
    pub(crate) async fn cut_consuming(&self, running: &Running) {
        let mut state = running.handle.state();
        self.broker.drop_connections_named("leveret (consume)");
        while running.handle.is_ready() {
            state = running.handle.changed(&state).await;
        }
        assert!(soon("readiness", running.handle.ready()).await, "it comes back");
    }

    /// The same of one queue, while others are paused.
    pub(crate) async fn cut_consuming_of(&self, queue: &str, running: &Running) {
        let consumes = |running: &Running| running.handle.state()[queue] == leveret_worker::QueueState::Consuming;
        for consuming in [true, false] {
            if !consuming {
                self.broker.drop_connections_named("leveret (consume)");
            }
            while consumes(running) != consuming {
                let state = running.handle.state();
                soon("another state", running.handle.changed(&state)).await;
            }
        }
        while !consumes(running) {
            let state = running.handle.state();
            soon("another state", running.handle.changed(&state)).await;
        }
    }

    /// Waits until a queue is as full as wanted.
    pub(crate) async fn wait_for(&self, queue: &str, wanted: impl FnMut(MemoryDepth) -> bool) {
        soon(queue, self.broker.wait_for_depth(queue, wanted)).await;
    }

    /// Waits until a queue holds nothing, ready or unsettled.
    pub(crate) async fn wait_for_empty(&self, queue: &str) {
        self.wait_for(queue, |depth| depth.ready + depth.unacked == 0).await;
    }

    /// Waits until `count` dead letters of [`MAIL`] are there, and gives them.
    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<Message> {
        self.wait_for("mail.dead", |depth| depth.ready == count).await;
        self.broker.messages("mail.dead")
    }
}

/// A message as another program would send it.
pub(crate) fn foreign(kind: Option<&str>, body: &'static [u8]) -> Message {
    let mut message = Message {
        body: body.into(),
        ..Message::default()
    };
    message.properties.kind = kind.map(Into::into);
    message
}

/// Fails instead of waiting for ever: time is paused, so this costs none.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(7_200), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen"),
    }
}

/// Waits until nothing is left to do but to wait: time is paused, so it moves on only then.
pub(crate) async fn settled_down() {
    tokio::time::sleep(Duration::from_secs(5)).await;
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

/// A header's number.
pub(crate) fn int(message: &Message, header: &str) -> Option<i64> {
    message.properties.headers.get(header).and_then(|value| value.as_int())
}

/// A worker that runs.
pub(crate) struct Running {
    pub(crate) handle: WorkerHandle,
    task: JoinHandle<Result<ExitReport, RunError>>,
}

impl Running {
    /// Starts a worker and waits until it consumes.
    pub(crate) async fn start(builder: WorkerBuilder) -> Self {
        let running = Self::start_unready(builder);
        assert!(soon("readiness", running.handle.ready()).await, "the worker gets ready");
        running
    }

    pub(crate) fn start_unready(builder: WorkerBuilder) -> Self {
        let worker = builder.build().expect("it is well put together");
        Self {
            handle: worker.handle(),
            task: tokio::spawn(worker.run_until(std::future::pending::<()>())),
        }
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

    /// What the worker did on [`MAIL`], after its end.
    pub(crate) async fn stop_mail(self) -> leveret_worker::QueueReport {
        self.stop().await.queue("mail").expect("it consumed it")
    }

    /// As if the process died: nothing is settled, nothing is said.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}

/// What happens in handlers, for the test to see, and a gate that it can hold them at.
#[derive(Clone)]
pub(crate) struct Probe {
    started: mpsc::Sender<(u64, u32)>,
    ended: mpsc::Sender<u64>,
    gate: Arc<Semaphore>,
}

/// The test's end of a [`Probe`].
pub(crate) struct Watch {
    started: mpsc::Receiver<(u64, u32)>,
    ended: mpsc::Receiver<u64>,
    gate: Arc<Semaphore>,
}

pub(crate) fn probe() -> (Probe, Watch) {
    let ((start, started), (end, ended)) = (mpsc::channel(10_000), mpsc::channel(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let probe = Probe {
        started: start,
        ended: end,
        gate: gate.clone(),
    };
    (probe, Watch { started, ended, gate })
}

impl Probe {
    /// For a handler: says that it runs, and waits until the test lets it go on.
    pub(crate) async fn hold(&self, number: u64, context: &Context) {
        self.run(number, context);
        self.gate.acquire().await.expect("never closed").forget();
        self.ended.try_send(number).expect("the test reads them");
    }

    /// For a handler: says that it runs.
    pub(crate) fn run(&self, number: u64, context: &Context) {
        self.started
            .try_send((number, context.attempt()))
            .expect("the test reads them");
    }
}

impl Watch {
    /// The next run that begins: the note's number and the attempt.
    pub(crate) async fn started(&mut self) -> (u64, u32) {
        soon("a start", self.started.recv()).await.expect("a handler lives")
    }

    /// The next run that went on past the gate.
    pub(crate) async fn ended(&mut self) -> u64 {
        soon("an end", self.ended.recv()).await.expect("a handler lives")
    }

    /// Lets so many runs go on.
    pub(crate) fn let_go(&self, runs: usize) {
        self.gate.add_permits(runs);
    }

    /// Whether nothing has begun that was not asked for.
    pub(crate) fn nothing_started(&mut self) -> bool {
        self.started.try_recv().is_err()
    }
}
