//! From the first job handled to the last.

use std::sync::Arc;
use std::sync::OnceLock;

use leveret::Rabbit;
use leveret_bench::Failure;
use leveret_bench::arguments::{Arguments, Working};
use leveret_bench::mail::{Mail, since_ms};
use leveret_bench::usage::Spent;
use leveret_worker::{State, Worker, WorkerBuilder};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::queues::Queues;
use crate::tally::{Tally, handle_again};

/// Jobs that do nothing, or take their time.
pub(crate) async fn work(rabbit: &Rabbit, queues: &Queues, arguments: &Arguments) -> Result<Spent, Failure> {
    let tally = Tally::of(arguments);
    let mut others = Vec::new();
    let mut workers = JoinSet::new();
    for at in 0..arguments.working.workers {
        // The first has the connections that are there; every other has its own, as if it were a process of its own.
        let rabbit = match at {
            0 => rabbit.clone(),
            _ => Rabbit::connect(arguments.url.as_str()).await?,
        };
        let worker = queues.register(Worker::builder(&rabbit).state(Arc::clone(&tally)));
        let worker = tuned(worker, queues, &arguments.working).build()?;
        workers.spawn(worker.run_until(Arc::clone(&tally).ended()));
        others.extend((at > 0).then_some(rabbit));
    }
    while let Some(ended) = workers.join_next().await {
        eprintln!("{}", ended??);
    }
    for rabbit in others {
        rabbit.close().await;
    }
    tally.spent().ok_or_else(|| "the workers ended before the jobs".into())
}

/// Jobs that fail once. The ladder is there before the first does: it is declared once in the life of a broker.
pub(crate) async fn retry(rabbit: &Rabbit, queues: &Queues, arguments: &Arguments) -> Result<Spent, Failure> {
    let tally = Tally::of(arguments);
    let queue = queues.first();
    rabbit.declare_with_delays(&queue).await?;
    let worker = Worker::builder(rabbit)
        .route::<Mail>(queue)
        .state(Arc::clone(&tally))
        .register(handle_again);
    let worker = tuned(worker, queues, &arguments.working).build()?;
    eprintln!("{}", worker.run_until(Arc::clone(&tally).ended()).await?);
    tally.spent().ok_or_else(|| "the worker ended before the jobs".into())
}

fn tuned(mut worker: WorkerBuilder, queues: &Queues, working: &Working) -> WorkerBuilder {
    for queue in queues.all() {
        if let Some(prefetch) = working.prefetch {
            worker = worker.prefetch(queue, prefetch);
        }
        if let Some(concurrency) = working.concurrency {
            worker = worker.concurrency(queue, concurrency);
        }
    }
    worker
}

/// When the first job began.
#[derive(Debug, Default)]
struct Beginning {
    since: u64,
    ms: OnceLock<f64>,
    reached: Notify,
}

async fn look_at_the_clock(_: Mail, State(beginning): State<Arc<Beginning>>) {
    beginning.ms.get_or_init(|| since_ms(beginning.since));
    beginning.reached.notify_one();
}

/// How many milliseconds after `since` the first job began.
pub(crate) async fn start(rabbit: &Rabbit, queues: &Queues, since: u64) -> Result<f64, Failure> {
    let beginning = Arc::new(Beginning {
        since,
        ..Beginning::default()
    });
    let worker = Worker::builder(rabbit)
        .route::<Mail>(queues.first())
        .state(Arc::clone(&beginning))
        .register(look_at_the_clock)
        .build()?;
    let first = Arc::clone(&beginning);
    let report = worker.run_until(async move { first.reached.notified().await }).await?;
    eprintln!("{report}");
    let ms = beginning.ms.get().copied();
    ms.ok_or_else(|| "the worker ended before its first job".into())
}
