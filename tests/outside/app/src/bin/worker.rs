//! Runs the jobs and says so, until it is asked to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leveret::ConnectOptions;
use leveret_worker::{Context, JobError, State, Worker};
use outside_jobs::{BuildReport, MAIL, SendWelcome};

#[derive(Clone, Default)]
struct Mailer {
    sent: Arc<AtomicU64>,
}

async fn send_welcome(job: SendWelcome, State(mailer): State<Mailer>, ctx: Context) -> Result<(), std::io::Error> {
    if job.user_id == 3 && ctx.attempt() == 1 {
        return Err(std::io::Error::other("the mail server hiccups"));
    }
    mailer.sent.fetch_add(1, Ordering::Relaxed);
    println!("welcome {} attempt {}", job.user_id, ctx.attempt());
    Ok(())
}

async fn build_report(job: BuildReport) -> Result<(), JobError> {
    println!("report {job:?}");
    Err(JobError::reject("no printer"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let report = Worker::builder(ConnectOptions::from_env()?)
        .state(Mailer::default())
        .register(send_welcome)
        .register(build_report)
        .concurrency(&MAIL, 32)
        .build()?
        .run_until_signal()
        .await?;
    println!("exit: {report}");
    Ok(())
}
