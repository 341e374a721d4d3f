//! What is done about the jobs.

use std::fmt;
use std::time::Duration;

use leveret_worker::{Context, JobError, Source, State, Worker, WorkerBuilder};

use crate::jobs::{BuildReport, MAIL, REPORTS, SendWelcome};

/// The worker with all handlers of the demo: what the program runs, and what its tests run.
pub fn worker(source: impl Into<Source>, mailer: Mailer) -> WorkerBuilder {
    Worker::builder(source)
        .name("demo-worker")
        .state(mailer)
        .register(send_welcome)
        .register(build_report)
        .concurrency(&MAIL, 20)
        .concurrency(&REPORTS, 2)
}

/// Stands for a mail service's client: it takes its time, and some of its answers are errors.
#[derive(Debug, Clone)]
pub struct Mailer {
    /// The share of mails that fail, 0.0 to 1.0.
    pub failing: f64,
}

/// What the mail service says when it fails.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mail service is busy")
    }
}

impl std::error::Error for Busy {}

impl Mailer {
    /// Sends a mail, or not.
    ///
    /// # Errors
    /// [`Busy`], as often as `failing` says.
    pub async fn send(&self, address: &str) -> Result<(), Busy> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if fastrand::f64() < self.failing {
            return Err(Busy);
        }
        tracing::info!(address, "welcome");
        Ok(())
    }
}

/// Any error is a failed attempt; the job's own policy decides what follows.
///
/// # Errors
/// What the mail service says.
pub async fn send_welcome(job: SendWelcome, State(mailer): State<Mailer>, context: Context) -> Result<(), Busy> {
    if context.attempt() > 1 {
        tracing::info!(attempt = context.attempt(), id = %context.id(), "once more");
    }
    mailer.send(&job.address).await
}

/// Says itself what shall become of a job that can never succeed.
///
/// # Errors
/// The month does not exist.
pub async fn build_report(job: BuildReport, context: Context) -> Result<(), JobError> {
    let BuildReport { year, month } = job;
    if !(1..=12).contains(&month) {
        return Err(JobError::reject(format!("there is no month {month}")));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    tracing::info!(year, month, id = %context.id(), "report");
    Ok(())
}
