//! The signals by which an operator or an orchestrator ends a worker.

use std::io;

/// Listens from now on.
#[cfg(unix)]
pub(crate) fn listen() -> io::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};

    Ok(Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    })
}

/// SIGINT and SIGTERM.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Waits for the next of either.
    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Listens from now on.
#[cfg(windows)]
pub(crate) fn listen() -> io::Result<Signals> {
    tokio::signal::windows::ctrl_c().map(Signals)
}

/// Ctrl-C.
#[cfg(windows)]
#[derive(Debug)]
pub(crate) struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    /// Waits for the next.
    pub(crate) async fn recv(&mut self) {
        self.0.recv().await;
    }
}
