//! One attempt: a pipeline of named steps around the handler.
//!
//! ```text
//! span ▸ panics ▸ rules ▸ words ─▸ (limit ▸ middlewares) ─▸ panics ▸ limit ▸ handler
//! ```
//! The steps in brackets are there only where the application has registered a middleware. The inner guards are the handler's own, so
//! that middlewares see a panic and a timeout as what they are: failures. The outer ones hold for the middlewares as well.

pub(crate) mod pipeline;
mod steps;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use crate::blocking::Seat;
use crate::cancellation::Cause;
use crate::context::{Attempt, Context};
use crate::middleware::Next;
use crate::outcome::{AttemptError, Outcome};
use crate::terms::Interruption;
use crate::verdict::Ended;
use pipeline::Pipeline;
pub(crate) use steps::message;

/// Runs one attempt to its end, or to its limit. What is dropped at its limit stops at its next `await`; a thread does not, and the
/// attempt has not ended before it has returned.
pub(crate) async fn run(pipeline: &Arc<Pipeline>, attempt: Arc<Attempt>) -> Ended {
    let span = steps::span(&attempt);
    travel(pipeline, attempt).instrument(span).await
}

async fn travel(pipeline: &Arc<Pipeline>, attempt: Arc<Attempt>) -> Ended {
    let deadline = after(attempt.timeout);
    let seat = pipeline
        .threads
        .as_ref()
        .map(|threads| Arc::new(Seat::new(threads, deadline)));
    let context = Context::new(attempt.clone(), seat.clone());
    let outcome = match pipeline.middlewares.is_empty() {
        true => steps::caught(async { steps::told(&attempt, handled(pipeline, context, deadline).await) }).await,
        // In a box, or every attempt of every worker would be as large as one with middlewares.
        false => {
            let around = Box::pin(around(pipeline, context, deadline));
            steps::caught(async { steps::told(&attempt, around.await) }).await
        }
    };
    let outcome = match outcome {
        // A panic outside the handler has passed the rules by.
        Outcome::Failed(error) if !attempt.retrying.is_judged() => {
            steps::caught(async { steps::judged(&attempt, error) }).await
        }
        outcome => outcome,
    };
    if let Some(seat) = seat {
        leave(&seat, &attempt).await;
    }
    ended(outcome, &attempt)
}

/// The handler under its own guards.
pub(crate) async fn handled(pipeline: &Pipeline, context: Context, deadline: Instant) -> Outcome {
    let attempt = context.attempt_handle();
    let seat = context.seat().cloned();
    // The call itself is inside as well: it runs the application's code.
    let work = async { (pipeline.run)(context).await };
    let outcome = steps::caught(steps::unless(|| limits(&attempt, seat, deadline), work)).await;
    match outcome {
        Outcome::Failed(error) if attempt.switch.was_seen() && AttemptError::find(&*error).is_none() => {
            AttemptError::Interrupted(error).into()
        }
        outcome => outcome,
    }
}

/// What ends a handler from outside: its time limit, and where its type wants that, a reason to stop.
async fn limits(attempt: &Attempt, seat: Option<Arc<Seat>>, deadline: Instant) -> Outcome {
    // A thread cannot be dropped: what runs it keeps the limit.
    let can_be_dropped = || seat.as_ref().is_none_or(|seat| !seat.is_taken());
    let over = async {
        sleep_until(deadline).await;
        if !can_be_dropped() {
            std::future::pending::<()>().await;
        }
    };
    let stopped = async {
        if attempt.retrying.terms.interruption != Interruption::Cancel {
            std::future::pending::<()>().await;
        }
        let cause = attempt.switch.fired().await;
        if !can_be_dropped() {
            std::future::pending::<()>().await;
        }
        cause
    };
    tokio::select! {
        biased;
        () = over => AttemptError::TimedOut(attempt.timeout).into(),
        cause = stopped => AttemptError::Interrupted(format!("it was dropped: {cause:?}").into()).into(),
    }
}

/// The application's middlewares, with the handler inside. One that hangs must not keep the slot, so there is a limit here too; it is a
/// little longer than the handler's, for what middlewares do about a timeout.
async fn around(pipeline: &Arc<Pipeline>, context: Context, deadline: Instant) -> Outcome {
    let limit = context.timeout();
    let seat = context.seat().cloned();
    let over = async {
        sleep_until(deadline + aftermath(limit)).await;
        if let Some(seat) = seat.filter(|seat| seat.is_taken()) {
            seat.left().await;
            tokio::time::sleep(aftermath(limit)).await;
        }
        AttemptError::TimedOut(limit).into()
    };
    let next = Next::new(pipeline.clone(), deadline);
    steps::unless(|| over, next.run(context)).await
}

/// How long middlewares may still take once the handler's time is up.
fn aftermath(limit: Duration) -> Duration {
    (limit / 20).clamp(Duration::from_millis(100), Duration::from_secs(5))
}

/// Whoever ran the handler's thread may have stopped waiting for it. The attempt has not: were its slot free and the job settled, the job
/// could run twice at once.
async fn leave(seat: &Seat, attempt: &Attempt) {
    if seat.is_taken() {
        attempt.switch.fire(Cause::TimedOut);
        seat.left().await;
    }
}

/// What the outcome means. By now every error is one of our own types.
fn ended(outcome: Outcome, attempt: &Attempt) -> Ended {
    let error = match outcome {
        Outcome::Failed(error) => error,
        outcome => return Ended::Returned(outcome),
    };
    match AttemptError::find(&*error) {
        Some(AttemptError::Panicked(message)) => Ended::Panicked(message.clone()),
        Some(AttemptError::TimedOut(limit)) => Ended::TimedOut(*limit),
        Some(AttemptError::Undecodable(why)) => Ended::Undecodable(why.clone()),
        Some(AttemptError::Interrupted(_)) => Ended::Interrupted,
        None if attempt.switch.was_seen() => Ended::Interrupted,
        None => Ended::Returned(Outcome::Failed(error)),
    }
}

/// A limit that no clock can reach is none; Tokio's own far future is 30 years.
fn after(limit: Duration) -> Instant {
    let now = Instant::now();
    let far = Duration::from_secs(86_400 * 365 * 30);
    now.checked_add(limit.min(far)).unwrap_or(now)
}
