//! A worker binary, as a service has one: state for the handlers, jobs that follow from jobs, an orderly end.
//!
//! `AMQP_URL=amqp://localhost cargo run -p leveret-examples --bin worker`, and Ctrl-C to end it.

use std::error::Error;
use std::io;

use leveret::{ConnectOptions, EnqueueError, Producer};
use leveret_examples::{MAIL, SendWelcome, SignUp};
use leveret_worker::{Context, JobError, State, Worker};

/// Stands for a mail service's client.
#[derive(Clone)]
struct Mailer {
    from: &'static str,
}

impl Mailer {
    async fn send(&self, to: &str) -> io::Result<()> {
        println!("{} writes to {to}", self.from);
        Ok(())
    }
}

/// The job that follows gets an id that comes from this one's: if this run is repeated, the mail is still one job.
async fn sign_up(job: SignUp, producer: Producer, context: Context) -> Result<(), EnqueueError> {
    let address = job.address;
    producer
        .enqueue(SendWelcome { address })
        .id(format!("{}-welcome", context.id()))
        .await?;
    Ok(())
}

async fn send_welcome(job: SendWelcome, State(mailer): State<Mailer>) -> Result<(), Box<dyn Error + Send + Sync>> {
    if !job.address.contains('@') {
        return Err(JobError::reject("that is no address").into());
    }
    mailer.send(&job.address).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let worker = Worker::builder(ConnectOptions::from_env()?.connection_name("worker"))
        .name("worker")
        .state(Mailer {
            from: "hello@example.org",
        })
        .register(sign_up)
        .register(send_welcome)
        .concurrency(&MAIL, 32)
        .build()?;

    let handle = worker.handle();
    tokio::spawn(async move {
        // What a readiness probe would ask.
        if handle.ready().await {
            println!("consuming; Ctrl-C ends it");
        }
    });
    let report = worker.run_until_signal().await?;
    println!("{report}");
    Ok(())
}
