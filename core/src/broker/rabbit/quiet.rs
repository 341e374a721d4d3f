//! Keeps the client library's own log lines away from the application's.
//!
//! lapin logs the bodies of returned messages (at `WARN`) and, at `TRACE`, every frame with bodies and the login itself. We
//! cannot be sure of any filter in the application's subscriber, so what runs the client has no subscriber at all: its
//! thread per connection ([`this_thread`]), its tasks ([`Quiet`]), and our calls into it ([`call`]). Nothing is lost: every
//! error that it logs also reaches us as a value.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_util::Stream;
use tokio::runtime::Handle;
use tracing::dispatcher::{DefaultGuard, Dispatch, set_default, with_default};
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;

use super::wire::Wire;

thread_local! {
    static GUARD: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Silences the calling thread until it ends. It must be one that runs nothing but the client.
pub(super) fn this_thread() {
    GUARD.with_borrow_mut(|guard| {
        if guard.is_none() {
            *guard = Some(set_default(&Dispatch::none()));
        }
    });
}

/// Silences one call. Only `TRACE` shows bodies on our threads, so that it costs nothing otherwise.
pub(super) fn call<T>(f: impl FnOnce() -> T) -> T {
    if LevelFilter::current() == LevelFilter::TRACE {
        with_default(&Dispatch::none(), f)
    } else {
        f()
    }
}

/// The Tokio runtime as the client knows it, with silent tasks.
#[derive(Debug, Clone)]
pub(super) struct Quiet(Tokio);

impl Quiet {
    pub(super) fn on(handle: Handle) -> Self {
        Self(Tokio::default().with_handle(handle))
    }
}

impl RuntimeKit for Quiet {}

impl Executor for Quiet {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.0.spawn(future.with_subscriber(Dispatch::none()))
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, f: F) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(f)
    }
}

impl Reactor for Quiet {
    type TcpStream = Wire;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// Never called: the client connects by our own function and registers nothing. It could not be passed on either, for
    /// the trait that it asks of the socket has no public name.
    #[expect(
        refining_impl_trait,
        reason = "the traits of the answer have no name here, its type has"
    )]
    fn register<H: Read + Write + Send + 'static>(&self, _: H) -> io::Result<Wire> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    /// Never called either.
    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Wire>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
