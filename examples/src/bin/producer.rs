//! A service that enqueues, and what it does with each fate of a job:
//!
//! `AMQP_URL=amqp://localhost cargo run -p leveret-examples --bin producer -- ada@example.org`

use std::error::Error;

use leveret::{ConnectOptions, EnqueueError, Fate, JobId, Producer};
use leveret_examples::SignUp;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let producer = Producer::connect(ConnectOptions::from_env()?.connection_name("producer")).await?;
    for address in std::env::args().skip(1) {
        match sign_up(&producer, &address).await {
            Ok(id) => println!("{address}: enqueued as {id}"),
            // In a web service: an answer of 503. Nothing of it is in the broker, or the same id is used next time.
            Err(error) => println!("{address}: {error}"),
        }
    }
    // Not needed for what was awaited; it lets what was only submitted be confirmed.
    producer.close().await;
    Ok(())
}

/// The id comes from what the job is about, so that a second sign-up of the same address can be recognized.
async fn sign_up(producer: &Producer, address: &str) -> Result<JobId, EnqueueError> {
    let enqueue = || {
        let job = SignUp {
            address: address.to_owned(),
        };
        producer.enqueue(job).id(format!("sign-up-{address}"))
    };
    match enqueue().await {
        // Never sent, or sent and not answered, within 30 seconds: once more, under the same id.
        Err(error) if matches!(error.fate(), Fate::NotSent | Fate::Unknown) => enqueue().await,
        stored_or_refused => stored_or_refused,
    }
}
