//! A worker that has nothing to do.

use std::sync::Arc;
use std::time::Duration;

use leveret::Rabbit;
use leveret_bench::Failure;
use leveret_bench::arguments::Arguments;
use leveret_bench::usage::{Spent, Stretch};
use leveret_worker::Worker;
use tokio::time::sleep;

use crate::queues::Queues;
use crate::tally::Tally;

/// What the start sets going is over by then.
const SETTLED: Duration = Duration::from_secs(2);

/// So many seconds of it, once it is ready.
pub(crate) async fn idle(rabbit: &Rabbit, queues: &Queues, arguments: &Arguments) -> Result<Spent, Failure> {
    let worker = queues
        .register(Worker::builder(rabbit).state(Tally::of(arguments)))
        .build()?;
    let handle = worker.handle();
    let shutdown = Arc::new(tokio::sync::Notify::new());
    let wanted = Arc::clone(&shutdown);
    let running = tokio::spawn(worker.run_until(async move { wanted.notified().await }));
    handle.ready().await;
    sleep(SETTLED).await;
    let stretch = Stretch::begin();
    sleep(Duration::from_secs(arguments.n)).await;
    let spent = stretch.end();
    shutdown.notify_one();
    eprintln!("{}", running.await??);
    Ok(spent)
}
