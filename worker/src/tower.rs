//! tower layers as middlewares (feature `tower`).
//!
//! ```
//! use leveret_worker::{Worker, tower};
//! # use leveret::Job;
//! # #[derive(serde::Serialize, serde::Deserialize, Job)]
//! # #[job(queue = "mail")]
//! # struct SendWelcome { user_id: u64 }
//! # async fn send_welcome(_: SendWelcome) {}
//! use ::tower::limit::ConcurrencyLimitLayer;
//!
//! let worker = Worker::builder("memory://")
//!     .register(send_welcome)
//!     .middleware_for::<SendWelcome>(tower::layer(ConcurrencyLimitLayer::new(4))) // whatever the queue's concurrency
//!     .build()?;
//! # Ok::<(), leveret_worker::BuildError>(())
//! ```

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, ready};

use async_trait::async_trait;
use tower_layer::Layer;
use tower_service::Service;

use crate::context::Context;
use crate::middleware::{Middleware, Next};
use crate::outcome::{BoxError, Outcome};

/// Makes a [`Middleware`] of a layer over services that take a [`Context`] and give an [`Outcome`].
///
/// The layer is applied once. Each attempt then gets a clone of the service, waits until it is ready, and calls it; while it waits
/// it keeps its slot, and its time runs. A service that cannot be cloned (a rate limit) goes behind tower's `buffer`. An error of the
/// service, as of tower's `timeout` or `load_shed`, fails the attempt like an error of the handler.
pub fn layer<L, S>(layer: L) -> TowerMiddleware<S>
where
    L: Layer<Attempts, Service = S>,
    S: Service<Context, Response = Outcome, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    TowerMiddleware {
        service: Mutex::new(layer.layer(Attempts(()))),
    }
}

/// A [`Middleware`] that is a tower service inside; made by [`layer`].
pub struct TowerMiddleware<S> {
    /// Locked to be cloned, which makes a service that is only `Send` fit to be shared.
    service: Mutex<S>,
}

impl<S> fmt::Debug for TowerMiddleware<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerMiddleware").finish_non_exhaustive()
    }
}

#[async_trait]
impl<S> Middleware for TowerMiddleware<S>
where
    S: Service<Context, Response = Outcome, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    async fn attempt(&self, mut context: Context, next: Next) -> Outcome {
        context.next = Some(next);
        // A clone may be in any state, whatever the original has seen.
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await {
            return Outcome::Failed(error.into());
        }
        let outcome = service.call(context).await;
        outcome.unwrap_or_else(|error| Outcome::Failed(error.into()))
    }
}

/// The innermost service: the rest of the attempt that the context belongs to.
#[derive(Debug, Clone)]
pub struct Attempts(());

impl Service<Context> for Attempts {
    type Response = Outcome;
    type Error = Infallible;
    type Future = Attempting;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut context: Context) -> Attempting {
        let next = context.next.take();
        Attempting(Box::pin(async move {
            match next {
                Some(next) => next.run(context).await,
                None => Outcome::Failed("a tower service was called with a context of another place".into()),
            }
        }))
    }
}

/// The future of [`Attempts`].
#[must_use = "futures do nothing unless polled"]
pub struct Attempting(Pin<Box<dyn Future<Output = Outcome> + Send>>);

impl Future for Attempting {
    type Output = Result<Outcome, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(ready!(self.0.as_mut().poll(cx))))
    }
}

impl fmt::Debug for Attempting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempting").finish_non_exhaustive()
    }
}
