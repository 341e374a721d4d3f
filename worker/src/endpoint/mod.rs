//! The endpoint for probes: `GET /live` and `GET /ready`, on a thread of its own, so that it answers while handlers block every thread of the
//! application.
//!
//! # Layout
//! [`Endpoint`] here owns the thread. `server` accepts connections and bounds them, `http` reads a request and words an answer (pure),
//! `vitals` knows what to answer, `stall` whether others still get round to their work.

mod http;
mod server;
mod stall;
mod vitals;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::running::Controls;
use vitals::Vitals;

/// The listening thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Its end asks the thread to end.
    stop: oneshot::Sender<()>,
    /// Its end says that it has.
    ended: oneshot::Receiver<()>,
}

impl Endpoint {
    /// Listens on the first of these addresses that is free. To be called in the runtime that handlers run on.
    ///
    /// # Errors
    /// None is free, or the operating system gives no thread.
    pub(crate) fn open(addresses: &[SocketAddr], two_heartbeats: u64, controls: &Arc<Controls>) -> io::Result<Self> {
        let listener = TcpListener::bind(addresses)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let vitals = Arc::new(Vitals::new(Arc::clone(controls), Handle::current(), two_heartbeats));
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = oneshot::channel::<()>();
        let (begin, begun) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("leveret-health".to_owned())
            .spawn(move || {
                // Made here and not before: a runtime must not be dropped inside another.
                let served = Builder::new_current_thread().enable_all().build();
                let (runtime, begin_with) = match served {
                    Ok(runtime) => (Some(runtime), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                // Whoever opens it waits for this.
                let _ = begin.send(begin_with);
                if let Some(runtime) = runtime
                    && let Err(error) = runtime.block_on(server::serve(listener, vitals, stopped))
                {
                    tracing::error!(%error, "the health endpoint has ended");
                }
                // The port is free from here on.
                drop(ending);
            })?;
        begun
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("its thread has ended")))?;
        controls.listens_on(address);
        tracing::info!(%address, "health endpoint");
        Ok(Self { stop, ended })
    }

    /// Closes the port, and waits until it is.
    pub(crate) async fn close(self) {
        drop(self.stop);
        // An error is the end that is waited for.
        let _ = self.ended.await;
    }
}
