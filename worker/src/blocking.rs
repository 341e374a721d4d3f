//! Handlers that block: [`IntoBlockingHandler`], and the threads that they run on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::Job;
use leveret::envelope::Incoming;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Span;

use crate::attempt;
use crate::context::Context;
use crate::extract::FromContext;
use crate::handler::{JobSpec, Registration, Run};
use crate::outcome::{AttemptError, IntoOutcome, Outcome, of_output};
use crate::states::Requirements;

/// What `WorkerBuilder::register_blocking` takes: a function of a job and up to eight extractors that is not async. `Marker` is always
/// inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a blocking job handler",
    label = "not a blocking handler",
    note = "a blocking handler is a `fn(job, extractors…)`, not async, whose first argument derives `Job`, whose other arguments (at most eight) \
            implement `FromContext` (`State<T>`, `Context`), and whose return type implements `IntoOutcome`",
    note = "an `async fn` is registered with `register`"
)]
pub trait IntoBlockingHandler<Marker>: Sized {
    /// The job that it runs.
    type Job: Job;

    /// Turns it into the form that a worker keeps.
    #[doc(hidden)]
    fn into_blocking_handler(self) -> Registration;
}

macro_rules! functions_of {
    ($($extractor:ident),*) => {
        impl<F, J, Out, $($extractor),*> IntoBlockingHandler<fn(J, $($extractor),*) -> Out> for F
        where
            F: Fn(J, $($extractor),*) -> Out + Send + Sync + 'static,
            J: Job,
            Out: IntoOutcome + 'static,
            $($extractor: FromContext + 'static,)*
        {
            type Job = J;

            #[allow(non_snake_case, unused_mut, reason = "each extractor's type names its variable; none needs no `mut`")]
            fn into_blocking_handler(self) -> Registration {
                let mut requirements = Requirements::default();
                $($extractor::requires(&mut requirements);)*
                let handler = Arc::new(self);
                let run: Box<Run> = Box::new(move |context| {
                    let handler = handler.clone();
                    Box::pin(async move {
                        let job = match Incoming::job::<J>(context.body()) {
                            Ok(job) => job,
                            Err(error) => return AttemptError::Undecodable(error.to_string()).into(),
                        };
                        context.meet(&job, None);
                        $(let $extractor = match $extractor::from_context(&context).await {
                            Ok(value) => value,
                            Err(error) => return Outcome::Failed(error),
                        };)*
                        on_thread(context, move || of_output(handler(job, $($extractor),*))).await
                    })
                });
                Registration { job: JobSpec { blocking: true, ..JobSpec::of::<J>() }, requirements, run }
            }
        }
    };
}

functions_of!();
functions_of!(A);
functions_of!(A, B);
functions_of!(A, B, C);
functions_of!(A, B, C, D);
functions_of!(A, B, C, D, E);
functions_of!(A, B, C, D, E, G);
functions_of!(A, B, C, D, E, G, H);
functions_of!(A, B, C, D, E, G, H, I);

/// How many threads the blocking handlers of a worker have, all together.
#[derive(Debug, Clone)]
pub(crate) struct Threads(Arc<Semaphore>);

impl Threads {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))))
    }
}

#[cfg(test)]
impl Threads {
    /// How many are free.
    pub(crate) fn count(&self) -> usize {
        self.0.available_permits()
    }
}

/// One attempt's place among the threads: taken from when it waits for one until the thread has returned.
#[derive(Debug)]
pub(crate) struct Seat {
    threads: Threads,
    /// When the attempt's time is up.
    deadline: Instant,
    /// A middleware that runs the handler twice takes it twice.
    taken: AtomicUsize,
    left: Notify,
}

impl Seat {
    pub(crate) fn new(threads: &Threads, deadline: Instant) -> Self {
        Self {
            threads: threads.clone(),
            deadline,
            taken: AtomicUsize::new(0),
            left: Notify::new(),
        }
    }

    fn take(self: &Arc<Self>) -> Taken {
        self.taken.fetch_add(1, Ordering::SeqCst);
        Taken(self.clone())
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::SeqCst) > 0
    }

    /// Waits until no thread runs the attempt and none is waited for.
    pub(crate) async fn left(&self) {
        loop {
            let left = self.left.notified();
            let mut left = std::pin::pin!(left);
            // Enlisted before looking, or an end that falls in between would wake nobody.
            left.as_mut().enable();
            if !self.is_taken() {
                return;
            }
            left.await;
        }
    }
}

struct Taken(Arc<Seat>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
        self.0.left.notify_waiters();
    }
}

/// Runs `work` on a thread and waits for its return, however late.
async fn on_thread(context: Context, work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    let Some(seat) = context.seat() else {
        return Outcome::Failed("a blocking handler is run by a worker only".into());
    };
    let (taken, limit) = (seat.take(), context.timeout());
    let permit = match thread(seat, &context).await {
        Ok(permit) => permit,
        Err(outcome) => return outcome,
    };
    let span = Span::current();
    let mut thread = tokio::task::spawn_blocking(move || {
        // Given back last, after everything of the handler is dropped, a panic included.
        let _held = (taken, permit);
        span.in_scope(work)
    });
    match timeout_at(seat.deadline, &mut thread).await {
        Ok(returned) => returned.unwrap_or_else(not_returned),
        Err(_) => {
            context.expire();
            // It helps only where the runtime has not begun it.
            thread.abort();
            late(thread.await.unwrap_or_else(not_returned), limit)
        }
    }
}

/// Waits for a thread. It is not the job's fault if there is none: it goes back, and elsewhere there may be one.
async fn thread(seat: &Seat, context: &Context) -> Result<OwnedSemaphorePermit, Outcome> {
    let reason = tokio::select! {
        biased;
        Ok(permit) = seat.threads.0.clone().acquire_owned() => return Ok(permit),
        cause = context.cancelled() => format!("it was asked to stop ({cause:?}) before there was a thread for it"),
        () = sleep_until(seat.deadline) => "there was no thread for it within its time limit".to_owned(),
    };
    Err(AttemptError::Interrupted(reason.into()).into())
}

/// What a handler came to that its limit had passed. Whatever it has done is done: only a failure is a timeout.
fn late(outcome: Outcome, limit: Duration) -> Outcome {
    tracing::warn!(?limit, "a blocking handler has returned after its time limit");
    match outcome {
        Outcome::Failed(error) if AttemptError::find(&*error).is_none() => AttemptError::TimedOut(limit).into(),
        outcome => outcome,
    }
}

fn not_returned(error: JoinError) -> Outcome {
    match error.try_into_panic() {
        Ok(payload) => AttemptError::Panicked(attempt::message(payload)).into(),
        Err(_) => AttemptError::Interrupted("the runtime had no thread for it".into()).into(),
    }
}
