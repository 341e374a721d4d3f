//! From the call of each enqueue to the start of its handler.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leveret::Rabbit;
use leveret_bench::Failure;
use leveret_bench::arguments::Arguments;
use leveret_bench::mail::Mail;
use leveret_worker::{State, Worker};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::queues::Queues;

/// When each job began, in milliseconds after its enqueue was called.
#[derive(Debug, Default)]
struct Ages {
    ages: Mutex<Vec<f64>>,
    wanted: usize,
    all: Notify,
}

async fn time(job: Mail, State(ages): State<Arc<Ages>>) {
    let age = job.age_ms();
    let mut all = ages.ages.lock().unwrap_or_else(PoisonError::into_inner);
    all.push(age);
    if all.len() == ages.wanted {
        ages.all.notify_one();
    }
}

pub(crate) async fn latency(rabbit: &Rabbit, queues: &Queues, arguments: &Arguments) -> Result<Vec<f64>, Failure> {
    let wanted = usize::try_from(arguments.n)?;
    let ages = Arc::new(Ages {
        ages: Mutex::new(Vec::with_capacity(wanted)),
        wanted,
        all: Notify::new(),
    });
    let worker = Worker::builder(rabbit)
        .route::<Mail>(queues.first())
        .state(Arc::clone(&ages))
        .register(time)
        .build()?;
    let handle = worker.handle();
    let all = Arc::clone(&ages);
    let running = tokio::spawn(worker.run_until(async move { all.all.notified().await }));
    handle.ready().await;
    enqueue_steadily(rabbit, queues, arguments).await?;
    eprintln!("{}", running.await??);
    let ages = ages.ages.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(ages.clone())
}

async fn enqueue_steadily(rabbit: &Rabbit, queues: &Queues, arguments: &Arguments) -> Result<(), Failure> {
    let outlet = queues.outlet(rabbit);
    let begin = Instant::now() + Duration::from_millis(100);
    let mut ticks = interval_at(begin, Duration::from_secs_f64(1.0 / arguments.sending.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut pending = Vec::new();
    for id in 0..arguments.n {
        ticks.tick().await;
        pending.push(outlet.enqueue(Mail::new(id)).submit().await?);
    }
    for each in pending {
        each.await?;
    }
    Ok(())
}
