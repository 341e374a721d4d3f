//! Errors that say what shall become of the job: [`JobError`].

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::outcome::{AttemptError, BoxError};

/// An error that says what shall become of the job, against its retry policy.
///
/// It is found wherever it sits in the chain of sources, so it may be boxed, carried by `anyhow::Error` or given
/// context on the way out of a handler. Where several are nested, the outermost counts.
///
/// ```
/// use std::time::Duration;
/// use leveret_worker::JobError;
///
/// # struct Answer { status: u16, retry_after: Duration }
/// fn check(answer: &Answer) -> Result<(), JobError> {
///     match answer.status {
///         400..=499 => Err(JobError::reject("the address was refused")),
///         503 => Err(JobError::retry_in(answer.retry_after, "the provider is down")),
///         _ => Ok(()),
///     }
/// }
/// # assert!(check(&Answer { status: 404, retry_after: Duration::ZERO }).is_err());
/// ```
#[derive(Debug)]
pub struct JobError {
    directed: Directed,
}

/// The part that is looked for. It is not [`JobError`] itself because a wrapper such as `anyhow::Error` hides the type
/// of the error it holds, but never that error's sources.
#[derive(Debug)]
struct Directed {
    directive: Directive,
    error: BoxError,
}

/// What a [`JobError`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Directive {
    Reject,
    RetryIn(Duration),
}

impl JobError {
    /// The job can never succeed: it becomes a dead letter now, whatever attempts are left.
    pub fn reject(error: impl Into<BoxError>) -> Self {
        Self::new(Directive::Reject, error.into())
    }

    /// The job failed and knows when to try again (`Retry-After`). The attempt is spent; the last one makes a dead
    /// letter. It waits in RabbitMQ, rounded up to 100 ms; a wait of zero is none. One that would come after the job has
    /// expired makes a dead letter now.
    pub fn retry_in(wait: Duration, error: impl Into<BoxError>) -> Self {
        Self::new(Directive::RetryIn(wait), error.into())
    }

    fn new(directive: Directive, error: BoxError) -> Self {
        Self {
            directed: Directed { directive, error },
        }
    }

    /// The error that it was made of.
    #[must_use]
    pub fn inner(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.directed.error
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.directed.directive {
            Directive::Reject => f.write_str("the job was rejected"),
            Directive::RetryIn(wait) => write!(f, "the job asks to be tried again in {wait:?}"),
        }
    }
}

impl Error for JobError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.directed)
    }
}

impl fmt::Display for Directed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Directed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// An error in its own words, free of the application's code: whoever looks at it runs nothing that could panic.
#[derive(Debug)]
struct Told {
    text: String,
    directive: Option<Directive>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Told {}

/// Asks an error for everything it has to say, and drops it. This runs the application's code: it may panic.
pub(crate) fn told(error: BoxError) -> BoxError {
    match AttemptError::find(&*error) {
        Some(AttemptError::Panicked(message)) => return Box::new(AttemptError::Panicked(message.clone())),
        Some(AttemptError::TimedOut(limit)) => return Box::new(AttemptError::TimedOut(*limit)),
        Some(AttemptError::Undecodable(why)) => return Box::new(AttemptError::Undecodable(why.clone())),
        Some(AttemptError::Interrupted(error)) => return Box::new(AttemptError::Interrupted(text(&**error).into())),
        None => {}
    }
    Box::new(Told {
        text: text(&*error),
        directive: directive(&*error),
    })
}

/// A chain of sources longer than this is taken for a loop.
const LONGEST_CHAIN: usize = 64;

pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source()).take(LONGEST_CHAIN)
}

/// What an error asks for, if it or one of its sources does.
pub(crate) fn directive(error: &(dyn Error + 'static)) -> Option<Directive> {
    if let Some(told) = error.downcast_ref::<Told>() {
        return told.directive;
    }
    chain(error).find_map(|error| error.downcast_ref::<Directed>().map(|directed| directed.directive))
}

/// An error and its sources in one line, as it goes into the record of a failure.
pub(crate) fn text(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    for error in chain(error) {
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&error.to_string());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{IntoOutcome, Outcome};

    fn failure<E: Into<BoxError>>(error: E) -> BoxError {
        match Err::<(), E>(error).into_outcome() {
            Outcome::Failed(error) => error,
            other => panic!("an error became {other:?}"),
        }
    }

    fn nested() -> BoxError {
        Box::new(JobError::retry_in(
            Duration::from_secs(3),
            JobError::reject(std::io::Error::other("disk")),
        ))
    }

    #[test]
    fn a_directive_is_found_through_every_wrapping() {
        let anyhow = |error: JobError| anyhow::Error::from(error);
        for (wrapping, error) in [
            ("bare", failure(JobError::reject("no"))),
            ("boxed", failure(Box::new(JobError::reject("no")) as BoxError)),
            (
                "boxed without markers",
                failure(std::io::Error::other(JobError::reject("no"))),
            ),
            ("anyhow", failure(anyhow(JobError::reject("no")))),
            (
                "anyhow with context",
                failure(anyhow(JobError::reject("no")).context("charging").context("paying")),
            ),
        ] {
            assert_eq!(directive(&*error), Some(Directive::Reject), "{wrapping}");
        }
    }

    #[test]
    fn the_outermost_of_nested_directives_counts() {
        assert_eq!(directive(&*nested()), Some(Directive::RetryIn(Duration::from_secs(3))));
    }

    #[test]
    fn other_errors_direct_nothing() {
        for error in [
            failure("text"),
            failure(String::from("text")),
            failure(anyhow::anyhow!("x")),
        ] {
            assert_eq!(directive(&*error), None);
        }
    }

    #[test]
    fn the_text_names_every_source_once() {
        let error = JobError::reject(std::io::Error::other("card expired"));
        assert_eq!(text(&error), "the job was rejected: card expired");
        let error = failure(anyhow::Error::from(error).context("charging"));
        assert_eq!(text(&*error), "charging: the job was rejected: card expired");
    }

    #[test]
    fn an_endless_chain_of_sources_ends() {
        #[derive(Debug)]
        struct Ouroboros;
        impl fmt::Display for Ouroboros {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tail")
            }
        }
        impl Error for Ouroboros {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(self)
            }
        }
        assert_eq!(directive(&Ouroboros), None);
        assert_eq!(text(&Ouroboros).matches("tail").count(), LONGEST_CHAIN);
    }
}
