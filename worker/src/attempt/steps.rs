//! The steps of an attempt: each takes the one inside it and gives an outcome.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use futures_util::FutureExt;
use tracing::Span;

use crate::context::Attempt;
use crate::error;
use crate::outcome::{AttemptError, BoxError, Outcome};

/// The span that everything of an attempt runs in. Never the body.
pub(super) fn span(attempt: &Attempt) -> Span {
    let incoming = &attempt.incoming;
    tracing::info_span!(
        "attempt",
        job = incoming.name.as_deref().unwrap_or_default(),
        id = %incoming.id,
        attempt = incoming.attempt,
        queue = attempt.surroundings.queue,
    )
}

/// A panic is a failure.
///
/// This and [`unless`] are poll functions around one pinned step: an `async fn` would hold each step twice, as its argument and as what it
/// awaits, and a task of a few such layers is many kilobytes to allocate and to copy for every job.
pub(super) fn caught(step: impl Future<Output = Outcome>) -> impl Future<Output = Outcome> {
    let caught = AssertUnwindSafe(step).catch_unwind();
    caught.map(|end| end.unwrap_or_else(|payload| AttemptError::Panicked(message(payload)).into()))
}

/// The step, unless something ends it: then it is dropped. The drop runs the application's code: this belongs inside [`caught`].
///
/// The end is made when the step has something to wait for. Most do not: they cost no timer and no listener.
pub(super) async fn unless<E>(end: impl FnOnce() -> E, step: impl Future<Output = Outcome>) -> Outcome
where
    E: Future<Output = Outcome>,
{
    let mut step = pin!(step);
    let (mut end, mut make) = (None, Some(end));
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = step.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        if let Some(make) = make.take() {
            end = Some(Box::pin(make()));
        }
        end.as_mut().map_or(Poll::Pending, |end| end.as_mut().poll(cx))
    })
    .await
}

/// An error is shown to the rules, says all that it has to say, and is dropped. That runs the application's code: this belongs
/// inside [`caught`].
pub(super) fn told(attempt: &Attempt, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(error) => match judged(attempt, error) {
            Outcome::Failed(error) => Outcome::Failed(error::told(error)),
            outcome => outcome,
        },
        outcome => outcome,
    }
}

/// Asks the rules about an error.
pub(super) fn judged(attempt: &Attempt, error: BoxError) -> Outcome {
    attempt.retrying.judge(attempt.incoming.attempt, &*error);
    Outcome::Failed(error)
}

/// The words of a panic. A payload of any other type is leaked, because dropping it could panic again.
pub(crate) fn message(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<&'static str>() {
        Ok(text) => return (*text).to_owned(),
        Err(other) => other,
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => {
            std::mem::forget(other);
            "the panic carried no text".to_owned()
        }
    }
}
