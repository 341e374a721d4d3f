//! A producer or a worker: `skew produce QUEUE COUNT`, `skew work QUEUE`, on the broker at `AMQP_URL`.
//!
//! It uses what both versions have. What a job does is decided by its number.

use std::error::Error;

use leveret::{ConnectOptions, Job, Producer, Queue};
use leveret_worker::{Context, JobError, Worker};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "unused", max_attempts = 3, timeout = "30s")]
struct Count {
    number: u64,
}

/// One in ten fails once; number 5 is rejected; number 7 always fails, and was told at its enqueue to be tried once only.
async fn count(job: Count, context: Context) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Count { number } = job;
    let (attempt, of) = (context.attempt(), context.max_attempts());
    let tenant = context
        .header("tenant")
        .and_then(|tenant| tenant.as_text())
        .unwrap_or("none");
    let told = match number {
        5 => Err(JobError::reject("told to").into()),
        7 => Err("told to".into()),
        _ if number % 10 == 3 && attempt == 1 => Err("told to".into()),
        _ => Ok(()),
    };
    let end = if told.is_ok() { "done" } else { "failed" };
    println!(
        "{number} {end}: attempt {attempt} of {of}, tenant {tenant}, id {}",
        context.id()
    );
    told
}

async fn produce(queue: &Queue, count: u64) -> Result<(), Box<dyn Error>> {
    let producer = Producer::connect(ConnectOptions::from_env()?).await?;
    let mut pending = Vec::new();
    for number in 0..count {
        let enqueue = producer
            .enqueue(Count { number })
            .queue(queue)
            .id(format!("job-{number}"));
        let enqueue = match number {
            7 => enqueue.max_attempts(1),
            8 => enqueue.header("tenant", "eu").max_attempts(9),
            _ => enqueue,
        };
        pending.push(enqueue.submit().await?);
    }
    for pending in pending {
        pending.await?;
    }
    producer.close().await;
    Ok(())
}

async fn work(queue: &Queue) -> Result<(), Box<dyn Error>> {
    let worker = Worker::builder(ConnectOptions::from_env()?)
        .register(count)
        .route::<Count>(queue.clone())
        .concurrency(queue, 5)
        .build()?;
    println!("exit: {}", worker.run_until_signal().await?);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["produce", queue, count] => produce(&Queue::named(queue.to_owned())?, count.parse()?).await,
        ["work", queue] => work(&Queue::named(queue.to_owned())?).await,
        _ => Err("skew produce QUEUE COUNT | skew work QUEUE".into()),
    }
}
