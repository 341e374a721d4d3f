//! Accepting connections of probes, and of whoever else comes: each has a few seconds, and the newest ones are kept.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::http::{self, LONGEST_HEAD};
use super::vitals::Vitals;

/// How long a connection may last.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many connections may be open. One more ends the oldest: a probe is served within moments, so that is none.
const GUESTS: usize = 32;

/// How much is read of what follows a request, lest the answer be lost.
const REST: u64 = 64 * 1024;

/// The wait after a failed accept, mostly for want of file descriptors.
const NO_DESCRIPTOR: Duration = Duration::from_millis(100);

/// Serves until `stop` resolves.
pub(super) async fn serve(
    listener: std::net::TcpListener,
    vitals: Arc<Vitals>,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    tokio::select! {
        biased;
        // An error means the same: its sender is gone.
        _ = stop => {}
        never = vitals.watch() => match never {},
        never = accept(&listener, &vitals) => match never {},
    }
    Ok(())
}

async fn accept(listener: &TcpListener, vitals: &Arc<Vitals>) -> Infallible {
    let mut attending = JoinSet::new();
    let mut guests: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = attending.join_next() => guests.retain(|guest| !guest.is_finished()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if guests.len() >= GUESTS && let Some(oldest) = guests.pop_front() {
                        oldest.abort();
                    }
                    let attendance = attend(stream, Arc::clone(vitals));
                    guests.push_back(attending.spawn(async move { drop(timeout(PATIENCE, attendance).await) }));
                }
                Err(error) => {
                    tracing::debug!(%error, "the health endpoint cannot accept a connection");
                    sleep(NO_DESCRIPTOR).await;
                }
            },
        }
    }
}

/// Answers one request. Whatever goes wrong with a connection is its client's business.
async fn attend(mut stream: TcpStream, vitals: Arc<Vitals>) -> io::Result<()> {
    let head = read_head(&mut stream).await?;
    if head.is_empty() {
        return Ok(());
    }
    let answer = match http::asked(&head) {
        Ok(asked) => {
            let (good, line) = vitals.tell(asked);
            http::told(good, &line)
        }
        Err(refusal) => http::refused(refusal),
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // Closed over unread bytes, the connection would be reset, and the answer lost.
    tokio::io::copy(&mut stream.take(REST), &mut tokio::io::sink()).await?;
    Ok(())
}

/// Reads until the head is complete, is too long, or ends.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while head.len() < LONGEST_HEAD && !http::is_complete(&head) {
        match stream.read(&mut part).await? {
            0 => break,
            read => head.extend_from_slice(&part[..read]),
        }
    }
    Ok(head)
}
