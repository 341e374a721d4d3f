//! Jobs from end to end in one process: five are enqueued, and a worker runs them. One succeeds, one is for later, one fails twice, is
//! tried again after a wait and then succeeds, one panics once, and one is rejected and becomes a dead letter, which is looked at in the end.
//!
//! `cargo run -p leveret-examples --bin quickstart` needs no broker; with `AMQP_URL=amqp://localhost` it runs on RabbitMQ.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use leveret::{Backoff, ConnectOptions, DeadLetters, Filter, Job, Queue, Rabbit};
use leveret_worker::{Context, JobError, State, Worker};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

const ON_PURPOSE: &str = "an image without pixels";

/// Nothing here takes long; who waits longer than this wants to know why.
const PATIENCE: Duration = Duration::from_secs(30);
const TOO_SLOW: &str = "the jobs did not end within 30 seconds; RUST_LOG=warn shows why";

// The jobs: plain data. Where several programs share them, they live in a crate of their own.

const QUICKSTART: Queue = Queue::new("quickstart");

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = QUICKSTART)]
struct SendWelcome {
    address: String,
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = QUICKSTART, max_attempts = 8, backoff = Backoff::linear("300ms", "10m"), timeout = "30s")]
struct ChargeCard {
    order: u64,
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = QUICKSTART)]
struct ImportFile {
    path: String,
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = QUICKSTART, max_attempts = 2, backoff = Backoff::fixed("100ms"))]
struct ResizeImage {
    image: String,
}

// The handlers: async functions that take the job, and after it whatever else they need. What they return decides.

/// A job that returns is done.
async fn send_welcome(job: SendWelcome, State(screen): State<Screen>, context: Context) {
    screen.end(&context, &format!("done: wrote to {}", job.address));
}

/// `Err` means: try again, as often and after as long as the job type says, and then a dead letter.
async fn charge_card(job: ChargeCard, State(screen): State<Screen>, context: Context) -> Result<(), String> {
    if context.attempt() < 3 {
        screen.show(&context, "failed: the bank is busy; again after a wait");
        return Err("the bank is busy".to_owned());
    }
    screen.end(&context, &format!("done: order {} is paid", job.order));
    Ok(())
}

/// `JobError::reject` means: no attempt could ever succeed, so a dead letter now.
async fn import_file(job: ImportFile, State(screen): State<Screen>, context: Context) -> Result<(), JobError> {
    screen.end(&context, &format!("rejected: {} is empty; a dead letter", job.path));
    Err(JobError::reject("the file is empty"))
}

/// A panic is a failed attempt, and nothing worse.
async fn resize_image(job: ResizeImage, State(screen): State<Screen>, context: Context) {
    if context.attempt() == 1 {
        screen.show(
            &context,
            "panicked; the worker lives on, the job comes again after a wait",
        );
        panic!("{ON_PURPOSE}");
    }
    screen.end(&context, &format!("done: {} is small now", job.image));
}

async fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let rabbit = connect(url).await?;

    let producer = rabbit.producer();
    let (address, path, image) = ("ada@example.org".into(), "orders.csv".into(), "hare.png".into());
    producer.enqueue(SendWelcome { address }).await?; // Ok: routed, stored and confirmed.
    producer.enqueue(ChargeCard { order: 17 }).await?;
    producer.enqueue(ImportFile { path }).await?;
    producer.enqueue(ResizeImage { image }).await?;
    let address = "grace@example.org, a second later".into();
    producer
        .enqueue(SendWelcome { address })
        .delay(Duration::from_secs(1))
        .await?;
    println!("  enqueued      5 jobs, each of them routed, stored and confirmed\n");

    let (screen, all_ended) = Screen::waiting_for(5);
    let worker = Worker::builder(&rabbit)
        .state(screen)
        .register(send_welcome)
        .register(charge_card)
        .register(import_file)
        .register(resize_image)
        .concurrency(&QUICKSTART, 4)
        .build()?;
    // A service would say `run_until_signal()`: this program ends when its jobs have.
    let report = timeout(PATIENCE, worker.run_until(all_ended))
        .await
        .map_err(|_| TOO_SLOW)??;
    println!("\n  exit report   {report}");
    for group in DeadLetters::of(&rabbit, &QUICKSTART).groups(Filter::all()).await?.found {
        println!("  dead letters  {} × {}", group.count, group.fingerprint);
    }
    rabbit.close().await;
    Ok(())
}

/// Connects, though not as patiently as a service would: somebody is looking at the screen.
async fn connect(url: &str) -> Result<Rabbit, Box<dyn Error>> {
    let options: ConnectOptions = url.parse()?;
    println!("Leveret on {options}"); // Shows `***` for the password.
    if url.starts_with("memory:") {
        println!("Nothing survives this process; with AMQP_URL=amqp://localhost it runs on RabbitMQ.");
    }
    println!();
    match timeout(Duration::from_secs(5), Rabbit::connect(&options)).await {
        Ok(rabbit) => Ok(rabbit?),
        Err(_) => Err(format!("no RabbitMQ answers at {options}; RUST_LOG=warn shows why").into()),
    }
}

/// Where the handlers write, and how `run` learns that the jobs have ended.
#[derive(Clone)]
struct Screen(Arc<Semaphore>);

impl Screen {
    fn waiting_for(jobs: u32) -> (Self, impl Future) {
        let ended = Arc::new(Semaphore::new(0));
        let screen = Self(Arc::clone(&ended));
        (screen, async move { ended.acquire_many(jobs).await.is_ok() })
    }

    fn show(&self, context: &Context, text: &str) {
        let (name, attempt, of) = (context.job_name(), context.attempt(), context.max_attempts());
        println!("  {name:<12}  attempt {attempt} of {of}  {text}");
    }

    fn end(&self, context: &Context, text: &str) {
        self.show(context, text);
        self.0.add_permits(1);
    }
}

/// Its handler shows it on the screen.
fn quiet_the_panic_on_purpose() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic
            .payload()
            .downcast_ref::<String>()
            .is_none_or(|text| text != ON_PURPOSE)
        {
            usual(panic);
        }
    }));
}

#[tokio::main]
async fn main() -> ExitCode {
    // The engine's own log: silent here unless asked for.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    quiet_the_panic_on_purpose();

    let url = std::env::var("AMQP_URL").unwrap_or_else(|_| "memory://".to_owned());
    match run(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}
