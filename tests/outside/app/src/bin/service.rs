//! Enqueues what it is told to: a number of welcomes, and one report.

use leveret::{ConnectOptions, Fate, Producer};
use outside_jobs::{BuildReport, SendWelcome};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u64 = std::env::args().nth(1).ok_or("how many?")?.parse()?;
    let producer = Producer::connect(ConnectOptions::from_env()?).await?;
    let id = producer.enqueue(SendWelcome { user_id: 0 }).await?;
    println!("first: {id}");
    let pending = producer
        .enqueue(SendWelcome { user_id: 1 })
        .id("welcome-1")
        .correlation_id("signup")
        .submit()
        .await?;
    println!("second: {}", pending.id());
    pending.await?;
    for result in producer
        .enqueue_all((2..count).map(|user_id| SendWelcome { user_id }))
        .await
    {
        if let Err(error) = result {
            match error.fate() {
                Fate::Refused(why) => return Err(format!("refused: {why}").into()),
                Fate::NotSent | Fate::Unknown => return Err(error.into()),
            }
        }
    }
    producer
        .enqueue(BuildReport::Monthly { year: 2026, month: 11 })
        .max_attempts(2)
        .await?;
    producer.close().await;
    Ok(())
}
