//! What a handler's end means: [`Outcome`], and what turns into one.

use std::error::Error;
use std::time::Duration;

/// The error of anything: what a handler's own error becomes.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// What a handler says of the job it was given.
///
/// Most handlers return `()` or a `Result` and never name it. They do for the two cases that are neither a success nor
/// a failure:
///
/// ```
/// use std::time::Duration;
/// use leveret_worker::Outcome;
///
/// # struct Invoice { paid: bool, void: bool }
/// # async fn load() -> Result<Invoice, std::io::Error> { Ok(Invoice { paid: false, void: false }) }
/// async fn remind() -> Result<Outcome, std::io::Error> {
///     let invoice = load().await?;
///     if invoice.void {
///         return Ok(Outcome::Cancel("the invoice was voided".into()));
///     }
///     if !invoice.paid {
///         return Ok(Outcome::Snooze(Duration::from_secs(3600)));
///     }
///     Ok(Outcome::Done)
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The job is done.
    Done,
    /// Not now: the same attempt comes again. No attempt is spent. In this version it comes again at once; the wait is
    /// logged and kept from the version that brings delayed jobs.
    Snooze(Duration),
    /// The job is no longer wanted: it is taken off the queue, logged and counted with this reason, and makes no dead
    /// letter.
    Cancel(String),
    /// The attempt failed: what `Err` turns into. The job type's retry policy decides what follows, unless the error
    /// is or wraps a [`JobError`](crate::JobError).
    Failed(BoxError),
}

/// What a handler may return: `()`, an [`Outcome`], or a `Result` of those with any error that turns into a
/// `Box<dyn Error + Send + Sync>` (`anyhow::Error`, `String` and every own error type do).
#[diagnostic::on_unimplemented(
    message = "a job handler cannot return `{Self}`",
    label = "not an outcome of a job",
    note = "return `()`, `leveret_worker::Outcome`, or `Result<_, E>` where `E` turns into `Box<dyn Error + Send + Sync>`"
)]
pub trait IntoOutcome {
    /// Turns it into an outcome.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Done
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl<T: IntoOutcome, E: Into<BoxError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Outcome {
        match self {
            Ok(value) => value.into_outcome(),
            Err(error) => Outcome::Failed(error.into()),
        }
    }
}
