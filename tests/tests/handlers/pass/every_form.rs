use leveret_worker::{Context, Handler, JobError, Outcome, State, Worker, async_trait};
use leveret_worker::leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {}

async fn bare(_: SendWelcome) {}

async fn failing(_: SendWelcome, _: Context) -> Result<(), std::io::Error> {
    Ok(())
}

async fn deciding(_: SendWelcome, State(limit): State<u8>, State(name): State<String>) -> Result<Outcome, JobError> {
    match (limit, name.as_str()) {
        (0, _) => Err(JobError::reject("none allowed")),
        (_, "") => Ok(Outcome::Cancel("nobody".into())),
        _ => Ok(Outcome::Done),
    }
}

fn blocking(_: SendWelcome, _: Context) -> Result<(), std::io::Error> {
    Ok(())
}

fn returning_a_future(_: SendWelcome) -> impl Future<Output = ()> + Send {
    std::future::ready(())
}

struct Mailer;

#[async_trait]
impl Handler<SendWelcome> for Mailer {
    type Output = Result<(), Box<dyn std::error::Error + Send + Sync>>;

    async fn run(&self, _: SendWelcome, _: Context) -> Self::Output {
        Ok(())
    }
}

fn main() {
    let greeting = String::from("hello");
    let _ = Worker::builder("memory://")
        .register(bare)
        .register(failing)
        .register(deciding)
        .register(returning_a_future)
        .register(Mailer)
        .register_blocking(blocking)
        .register_blocking(|_: SendWelcome, State(_): State<String>| Outcome::Done)
        .register_for::<SendWelcome>(Mailer)
        .register(async |_: SendWelcome| {})
        .register(move |_: SendWelcome| {
            let greeting = greeting.clone();
            async move { drop(greeting) }
        });
}
