//! A middleware: jobs that are done under their id are not done again, however often they are enqueued or delivered.
//!
//! `cargo run -p leveret-examples --bin idempotency` needs no broker; with `AMQP_URL=amqp://localhost` it runs on RabbitMQ.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leveret::{ConnectOptions, Job, Queue, Rabbit};
use leveret_worker::{Context, ExitReport, Middleware, Next, Outcome, State, Worker, async_trait};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

const CHARGES: Queue = Queue::new("charges");

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = CHARGES, timeout = "30s")]
struct ChargeCard {
    order: u64,
}

// The middleware, all of it. In an application the set is a table with a unique key, written in the transaction of the work.

#[derive(Default)]
struct Idempotent {
    done: Mutex<HashSet<String>>,
}

#[async_trait]
impl Middleware for Idempotent {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        let id = context.id().to_string();
        let done = || self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done().contains(&id) {
            return Outcome::Done;
        }
        let outcome = next.run(context).await;
        if matches!(outcome, Outcome::Done) {
            done().insert(id);
        }
        outcome
    }
}

/// The cards that were charged, and a permit for each.
#[derive(Clone)]
struct Ledger(Arc<(Mutex<Vec<u64>>, Semaphore)>);

async fn charge_card(job: ChargeCard, State(Ledger(ledger)): State<Ledger>) {
    println!("charging order {}", job.order);
    ledger.0.lock().unwrap_or_else(PoisonError::into_inner).push(job.order);
    ledger.1.add_permits(1);
}

/// Charges two orders, the first of which is enqueued three times.
async fn run(options: ConnectOptions) -> Result<(Vec<u64>, ExitReport), Box<dyn Error>> {
    let rabbit = Rabbit::connect(options).await?;
    let ledger = Ledger(Arc::new((Mutex::default(), Semaphore::new(0))));
    let worker = Worker::builder(&rabbit)
        .state(ledger.clone())
        .middleware(Idempotent::default())
        .register(charge_card)
        .concurrency(&CHARGES, 1)
        .build()?;
    for order in [1, 1, 1, 2] {
        let id = format!("charge-{order}"); // what must not happen twice names the job
        rabbit.producer().enqueue(ChargeCard { order }).id(id).await?;
    }
    let both = tokio::time::timeout(Duration::from_secs(30), ledger.0.1.acquire_many(2));
    let report = worker.run_until(both).await?;
    rabbit.close().await;
    let charged = ledger.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((charged, report))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = match std::env::var_os("AMQP_URL") {
        Some(_) => ConnectOptions::from_env()?,
        None => "memory://idempotency".parse()?,
    };
    let (charged, report) = run(options).await?;
    println!("charged: {charged:?}\n{report}");
    Ok(())
}

#[cfg(test)]
#[tokio::test]
async fn an_order_that_is_enqueued_three_times_is_charged_once() -> Result<(), Box<dyn Error>> {
    let (charged, report) = run("memory://idempotency-test".parse()?).await?;
    assert_eq!(charged, [1, 2]);
    assert_eq!(report.queue("charges").map(|queue| queue.completed), Some(4));
    Ok(())
}
