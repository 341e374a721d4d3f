//! What is declared, verified or left alone, and by whom, on a real RabbitMQ.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod minimal;
mod mismatches;
mod rights;

use leveret::topology::Topology;
use leveret::{ConnectOptions, Job, JobId, Queue, Rabbit, TopologyMode};
use leveret_tests::signal::{Counter, eventually, soon};
use leveret_tests::{Node, taker};
use leveret_worker::{Context, ExitReport, JobError, RunError, State, Worker};
use serde::{Deserialize, Serialize};

/// The job of these tests; it goes to whichever queue the test owns.
#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = "unused", max_attempts = 2, timeout = "60s")]
struct Note {
    number: u64,
}

/// A queue that no other test uses.
fn own_queue(name: &str) -> Queue {
    Queue::named(format!("{name}-{}", JobId::random())).expect("short enough")
}

/// Note 0 is done at once, note 1 at its second attempt, note 2 never.
async fn handle(note: Note, State(runs): State<Counter>, context: Context) -> Result<(), JobError> {
    runs.add();
    match (note.number, context.attempt()) {
        (0, _) | (1, 2..) => Ok(()),
        (1, _) => Err(JobError::retry_in(std::time::Duration::ZERO, "once more")),
        _ => Err(JobError::reject("never")),
    }
}

/// Enqueues notes 0, 1 and 2 and works them off.
async fn round_trip(rabbit: &Rabbit, queue: &Queue) -> ExitReport {
    for number in 0..3 {
        let enqueued = rabbit.producer().enqueue(Note { number }).queue(queue).await;
        enqueued.unwrap_or_else(|error| panic!("note {number}: {error}"));
    }
    let runs = Counter::new("runs");
    let worker = worker(rabbit, queue, runs.clone());
    let (handle, running) = (
        worker.handle(),
        tokio::spawn(worker.run_until(std::future::pending::<()>())),
    );
    // Note 1 runs twice.
    runs.wait_for(4).await;
    let dead = Topology::new(rabbit.options().name_prefix()).dead_queue(queue);
    eventually("the dead letter", async || taker::depth(rabbit, &dead).await == 1).await;
    handle.shutdown();
    soon("the end of the worker", running).await.unwrap().unwrap()
}

fn worker(rabbit: &Rabbit, queue: &Queue, runs: Counter) -> Worker {
    Worker::builder(rabbit)
        .state(runs)
        .route::<Note>(queue.clone())
        .register(handle)
        .build()
        .expect("it is well put together")
}

/// What a worker on this queue says that cannot even start.
async fn refused_start(rabbit: &Rabbit, queue: &Queue) -> RunError {
    let running = worker(rabbit, queue, Counter::new("runs")).run_until(std::future::pending::<()>());
    soon("a worker that gives up", running)
        .await
        .expect_err("the queue is another")
}

/// The connections of a process to this node.
async fn connect(node: &Node, user: &str, mode: TopologyMode) -> Rabbit {
    let options: ConnectOptions = node.amqp_url().parse().expect("a good URL");
    let options = match user {
        "" => options,
        user => options.credentials(user, "secret"),
    };
    Rabbit::connect(options.topology(mode)).await.expect("the node answers")
}

/// A user with these rights.
async fn add_user(node: &Node, configure: &str) -> String {
    let name = format!("user-{}", JobId::random());
    node.ctl(&["add_user", &name, "secret"]).await.expect("a new user");
    node.ctl(&["set_permissions", &name, configure, ".*", ".*"])
        .await
        .expect("rights");
    name
}
