//! The steps of an attempt: each takes the one inside it and gives an outcome.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tracing::Span;

use crate::cancellation::Cause;
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
pub(super) async fn caught(step: impl Future<Output = Outcome>) -> Outcome {
    match AssertUnwindSafe(step).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(payload) => AttemptError::Panicked(message(payload)).into(),
    }
}

/// The step is dropped when `over` resolves. The drop runs the application's code: this belongs inside [`caught`].
pub(super) async fn limited(
    limit: Duration,
    over: impl Future<Output = ()>,
    step: impl Future<Output = Outcome>,
) -> Outcome {
    tokio::select! {
        biased;
        outcome = step => outcome,
        () = over => AttemptError::TimedOut(limit).into(),
    }
}

/// The step is dropped when the handler is asked to stop. The drop runs the application's code: this belongs inside [`caught`].
pub(super) async fn stoppable(stopped: impl Future<Output = Cause>, step: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        biased;
        outcome = step => outcome,
        cause = stopped => AttemptError::Interrupted(format!("it was dropped: {cause:?}").into()).into(),
    }
}

/// An error is shown to the rules, says all that it has to say, and is dropped. That runs the application's code: this belongs
/// inside [`caught`].
pub(super) async fn told(attempt: &Attempt, step: impl Future<Output = Outcome>) -> Outcome {
    match step.await {
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
