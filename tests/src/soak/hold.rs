//! Holding a program without freezing it: it keeps its connections, and begins nothing new.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// SIGUSR1 holds the program, SIGUSR2 lets it go on.
#[derive(Debug)]
pub struct Hold {
    held: watch::Receiver<bool>,
    listening: JoinHandle<()>,
}

impl Hold {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// If the system has no such signals.
    pub fn by_signals() -> io::Result<Hold> {
        let (mut stop, mut go) = (
            signal(SignalKind::user_defined1())?,
            signal(SignalKind::user_defined2())?,
        );
        let (sender, held) = watch::channel(false);
        let listening = tokio::spawn(async move {
            loop {
                let hold = tokio::select! {
                    biased;
                    Some(()) = stop.recv() => true,
                    Some(()) = go.recv() => false,
                    else => return,
                };
                if sender.send(hold).is_err() {
                    return;
                }
            }
        });
        Ok(Hold { held, listening })
    }

    /// Returns at once, or as soon as the program is no longer held.
    pub async fn passes(&self) {
        // Nobody who could let it go on is left: then it is not held either.
        let _ = self.held.clone().wait_for(|held| !held).await;
    }

    /// Follows it.
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.held.clone()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
