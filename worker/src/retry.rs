//! What an application says of failures: [`Retry`], asked of each [`FailedAttempt`].

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use leveret::RetryPolicy;

use crate::error::chain;
use crate::outcome::AttemptError;

/// What shall follow a failed attempt. A `bool` turns into one: `true` into [`Retry::ByPolicy`], `false` into [`Retry::Never`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// What the job's policy says.
    ByPolicy,
    /// What this policy says, which takes the place of the job's for this failure: a longer patience with a rate limit, fewer attempts after a
    /// timeout. Attempts that failed otherwise count as well. What the producer set for this one job still wins.
    With(RetryPolicy),
    /// Another attempt after this wait, if the policy has one left.
    After(Duration),
    /// None: the job becomes a dead letter now, with the reason `rejected` (a panic and a timeout keep their own).
    Never,
}

impl From<bool> for Retry {
    fn from(again: bool) -> Self {
        match again {
            true => Self::ByPolicy,
            false => Self::Never,
        }
    }
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The handler, an extractor or a middleware returned an error.
    Failed,
    /// One of them panicked.
    Panicked,
    /// It ran longer than its limit.
    TimedOut,
}

/// A failed attempt, as a rule of the application sees it; see [`WorkerBuilder::retry_rule`](crate::WorkerBuilder::retry_rule).
pub struct FailedAttempt<'a> {
    attempt: u32,
    class: ErrorClass,
    error: &'a (dyn Error + 'static),
}

impl<'a> FailedAttempt<'a> {
    /// `None` where nothing failed: the handler gave up because it was asked to, or there was no job to run.
    pub(crate) fn new(attempt: u32, error: &'a (dyn Error + 'static)) -> Option<Self> {
        let class = match AttemptError::find(error) {
            None => ErrorClass::Failed,
            Some(AttemptError::Panicked(_)) => ErrorClass::Panicked,
            Some(AttemptError::TimedOut(_)) => ErrorClass::TimedOut,
            Some(AttemptError::Undecodable(_) | AttemptError::Interrupted(_)) => return None,
        };
        Some(Self { attempt, class, error })
    }

    /// Which run of the job it was; the first is 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How it failed.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// The error, if it is an `E` or has one among its sources: boxed, inside another error or an `io::Error`, carried by `anyhow::Error` (with
    /// the feature `anyhow`, which is on by default). Other reports hide the type of their outermost error: there, mark it with a
    /// [`JobError`](crate::JobError), which is found in all of them.
    #[must_use]
    pub fn error<E: Error + 'static>(&self) -> Option<&'a E> {
        chain(self.error).find_map(|error| error.downcast_ref().or_else(|| inside(error)?.downcast_ref()))
    }
}

impl fmt::Debug for FailedAttempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedAttempt")
            .field("attempt", &self.attempt)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

/// What an `io::Error` was made of; its `source` is the source of that.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    Some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{BoxError, Outcome, of_output};

    #[derive(Debug, PartialEq)]
    struct Refused(u16);

    impl fmt::Display for Refused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "refused with {}", self.0)
        }
    }

    impl Error for Refused {}

    #[derive(Debug)]
    struct Wrapping(BoxError);

    impl fmt::Display for Wrapping {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapping")
        }
    }

    impl Error for Wrapping {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    fn failure<E: Into<BoxError> + 'static>(error: E) -> BoxError {
        match of_output(Err::<(), E>(error)) {
            Outcome::Failed(error) => error,
            other => panic!("an error became {other:?}"),
        }
    }

    #[test]
    fn an_error_is_found_by_its_type_through_every_wrapping() {
        let boxed = || Box::new(Refused(404)) as BoxError;
        let anyhow = || anyhow::Error::from(Refused(404));
        for (wrapping, error) in [
            ("bare", failure(Refused(404))),
            ("boxed", failure(boxed())),
            ("as a source", failure(Wrapping(boxed()))),
            ("in an io::Error", failure(io::Error::other(Refused(404)))),
            (
                "in an io::Error in another",
                failure(Wrapping(Box::new(io::Error::other(Refused(404))))),
            ),
            #[cfg(feature = "anyhow")]
            ("anyhow", failure(anyhow())),
            ("anyhow with context", failure(anyhow().context("charging"))),
            #[cfg(feature = "anyhow")]
            ("anyhow of a wrapping", failure(anyhow::Error::from(Wrapping(boxed())))),
            ("anyhow, boxed by the application", {
                let boxed: BoxError = anyhow().context("charging").into();
                failure(boxed)
            }),
        ] {
            let failed = FailedAttempt::new(1, &*error).expect("it failed");
            assert_eq!(failed.error::<Refused>(), Some(&Refused(404)), "{wrapping}");
            assert_eq!(failed.error::<fmt::Error>(), None, "{wrapping}");
        }
    }

    #[test]
    fn each_failure_has_its_class_and_what_is_none_has_none() {
        for (error, class) in [
            (failure("boom"), Some(ErrorClass::Failed)),
            (
                failure(AttemptError::Panicked("boom".into())),
                Some(ErrorClass::Panicked),
            ),
            (
                failure(Wrapping(Box::new(AttemptError::TimedOut(Duration::ZERO)))),
                Some(ErrorClass::TimedOut),
            ),
            (failure(AttemptError::Undecodable("boom".into())), None),
            (failure(AttemptError::Interrupted("boom".into())), None),
        ] {
            assert_eq!(FailedAttempt::new(3, &*error).map(|failed| failed.class()), class);
        }
    }
}
