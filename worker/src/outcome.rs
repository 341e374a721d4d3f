//! What a handler's end means: [`Outcome`], and what turns into one.

#[cfg(feature = "anyhow")]
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::error;

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
    /// Not now: the same attempt comes again. No attempt is spent. It waits in RabbitMQ, rounded up to
    /// 100 ms; a wait of zero is none. One that would come after the job has expired makes a dead
    /// letter now.
    Snooze(Duration),
    /// The job is no longer wanted: it is taken off the queue, logged and counted with this reason, and makes no dead
    /// letter.
    Cancel(String),
    /// The attempt failed: what `Err` turns into. The job type's retry policy decides what follows, unless the error
    /// is or wraps a [`JobError`](crate::JobError).
    Failed(BoxError),
}

/// Questions for a [`Middleware`](crate::Middleware): what has failed may not be the handler's own error.
impl Outcome {
    /// Whether the attempt ran longer than its time limit.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.broken(), Some(AttemptError::TimedOut(_)))
    }

    /// Whether the handler panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.broken(), Some(AttemptError::Panicked(_)))
    }

    /// Whether the body is not the JSON of its job: the handler was not run, and the job becomes a dead letter.
    #[must_use]
    pub fn is_undecodable(&self) -> bool {
        matches!(self.broken(), Some(AttemptError::Undecodable(_)))
    }

    /// Whether the handler gave up because it was asked to: no failure, and no attempt is spent. A middleware that asks
    /// [`Context::cancellation`](crate::Context::cancellation) asks in the handler's name.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.broken(), Some(AttemptError::Interrupted(_)))
    }

    fn broken(&self) -> Option<&AttemptError> {
        match self {
            Self::Failed(error) => AttemptError::find(&**error),
            _ => None,
        }
    }
}

/// A failure that is not an error of the handler's own.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// With this message.
    Panicked(String),
    /// It ran longer than this.
    TimedOut(Duration),
    /// The body is not the job that its type says; why.
    Undecodable(String),
    /// The handler gave up with this error, because it was asked to.
    Interrupted(BoxError),
}

impl AttemptError {
    /// Looks for it in an error and its sources: a middleware may have wrapped it.
    pub(crate) fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        error::chain(error).find_map(|error| error.downcast_ref())
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "the handler panicked: {message}"),
            Self::TimedOut(limit) => write!(f, "the attempt ran longer than its limit of {limit:?}"),
            Self::Undecodable(why) => f.write_str(why),
            Self::Interrupted(_) => f.write_str("the handler was asked to stop"),
        }
    }
}

impl Error for AttemptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Interrupted(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<AttemptError> for Outcome {
    fn from(error: AttemptError) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// The outcome of what a handler returned. Like [`IntoOutcome::into_outcome`], but an error inside `anyhow::Error` keeps its type: rules and
/// middlewares look for it.
pub(crate) fn of_output<O: IntoOutcome + 'static>(output: O) -> Outcome {
    #[cfg(feature = "anyhow")]
    let output = {
        let mut output = Some(output);
        if let Some(error) = take_anyhow(&mut output) {
            return Outcome::Failed(error.reallocate_into_boxed_dyn_error_without_backtrace());
        }
        match output {
            Some(output) => output,
            None => return Outcome::Done,
        }
    };
    output.into_outcome()
}

/// The error of `anyhow::Result<()>` or `anyhow::Result<Outcome>`, if `output` is one. What is taken leaves `None`.
#[cfg(feature = "anyhow")]
fn take_anyhow(output: &mut dyn Any) -> Option<anyhow::Error> {
    fn taken<T: 'static>(output: &mut dyn Any) -> Option<anyhow::Error> {
        let output: &mut Option<Result<T, anyhow::Error>> = output.downcast_mut()?;
        output.take_if(|result| result.is_err())?.err()
    }
    taken::<()>(output).or_else(|| taken::<Outcome>(output))
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
