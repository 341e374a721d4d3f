//! One connection, its two directions, and what is wrong with them.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::listener::Command;
use crate::signal::Counter;

const CHUNK: usize = 16 * 1024;
/// How long an orderly end waits for the other side's.
const FAREWELL: Duration = Duration::from_secs(1);

/// A way of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToBroker,
    ToClient,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Reset,
    Finish,
}

#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    stalled_to_broker: bool,
    stalled_to_client: bool,
    /// So many connections, the first ones, are stalled both ways.
    stalled: u64,
    silent: bool,
}

impl Faults {
    /// Whether the connection of this number is stalled.
    fn stalls(&self, number: u64, direction: Direction) -> bool {
        let everywhere = match direction {
            Direction::ToBroker => self.stalled_to_broker,
            Direction::ToClient => self.stalled_to_client,
        };
        everywhere || number <= self.stalled
    }
}

/// What all connections of a proxy have in common.
#[derive(Debug)]
pub(super) struct Network {
    faults: watch::Sender<Faults>,
    open: watch::Sender<usize>,
    accepted: Counter,
    bytes_to_broker: AtomicU64,
    /// `None`: any number of bytes may go either way.
    allowance: Mutex<Option<Allowance>>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Network {
    pub(super) fn new(commands: mpsc::UnboundedSender<Command>) -> Network {
        Network {
            faults: watch::Sender::new(Faults::default()),
            open: watch::Sender::new(0),
            accepted: Counter::new("connections accepted by the proxy"),
            bytes_to_broker: AtomicU64::new(0),
            allowance: Mutex::new(None),
            commands,
        }
    }

    pub(super) fn open(&self) -> usize {
        *self.open.borrow()
    }

    pub(super) fn watch_open(&self) -> watch::Receiver<usize> {
        self.open.subscribe()
    }

    pub(super) fn accepted(&self) -> &Counter {
        &self.accepted
    }

    pub(super) fn bytes_to_broker(&self) -> u64 {
        self.bytes_to_broker.load(Ordering::Relaxed)
    }

    pub(super) fn stall(&self, direction: Direction) {
        self.faults.send_modify(|faults| match direction {
            Direction::ToBroker => faults.stalled_to_broker = true,
            Direction::ToClient => faults.stalled_to_client = true,
        });
    }

    pub(super) fn stall_open(&self) {
        let stalled = self.accepted.count();
        self.faults.send_modify(|faults| faults.stalled = stalled);
    }

    pub(super) fn silence(&self) {
        self.faults.send_modify(|faults| faults.silent = true);
    }

    pub(super) fn heal(&self) {
        self.faults.send_replace(Faults::default());
    }

    pub(super) fn end_after(&self, left: u64, direction: Direction, ending: Ending) {
        *self.allowance.lock().unwrap_or_else(PoisonError::into_inner) = Some(Allowance {
            left,
            direction,
            ending,
        });
    }

    /// Counts a connection as open until the result is dropped.
    pub(super) fn count(self: &Arc<Network>) -> Counted {
        self.open.send_modify(|open| *open += 1);
        self.accepted.add();
        let number = self.accepted.count();
        let network = Arc::clone(self);
        Counted { network, number }
    }

    /// How many of `wanted` bytes may go this way. Fewer than wanted: the cut is under way.
    fn allow(&self, wanted: usize, direction: Direction) -> usize {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Allowance { left, .. }) = allowance.as_mut().filter(|limited| limited.direction == direction) else {
            return wanted;
        };
        let allowed = usize::try_from(*left).map_or(wanted, |left| left.min(wanted));
        *left -= allowed as u64;
        allowed
    }

    /// Asks the listener to end all connections if the allowance is used up; the next ones have none to keep to.
    fn end_if_used_up(&self) -> bool {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Allowance { ending, .. }) = allowance.take_if(|allowance| allowance.left == 0) else {
            return false;
        };
        let (done, _nobody_waits) = oneshot::channel();
        self.commands.send(Command::End(ending, done)).is_ok()
    }
}

/// How many bytes may still go which way, and how all connections end then.
#[derive(Debug)]
struct Allowance {
    left: u64,
    direction: Direction,
    ending: Ending,
}

/// An open connection in the proxy's count.
#[derive(Debug)]
pub(super) struct Counted {
    network: Arc<Network>,
    /// From 1, in the order in which they were accepted.
    number: u64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.network.open.send_modify(|open| *open -= 1);
    }
}

/// Serves one connection until one side ends it or `ending` says so.
pub(super) async fn run(
    mut client: TcpStream,
    target: SocketAddr,
    counted: Counted,
    mut ending: watch::Receiver<Option<Ending>>,
) {
    let mut broker = None;
    let told = tokio::select! {
        told = ending.wait_for(Option::is_some) => told.ok().and_then(|ending| *ending),
        forwarded = forward(&mut client, &mut broker, target, &counted) => match forwarded {
            // Both sides had their end of stream: there is nothing left to end.
            Ok(()) => None,
            Err(_) => Some(Ending::Reset),
        },
    };
    let mut sides = [Some(client), broker];
    match told {
        Some(Ending::Reset) => sides.iter().flatten().for_each(reset),
        Some(Ending::Finish) => finish(&mut sides).await,
        None => {}
    }
    // In this order: whoever sees the count may rely on the close.
    drop(sides);
    drop(counted);
}

/// Forwards both ways until both sides have ended their streams. An error is a side that broke.
async fn forward(
    client: &mut TcpStream,
    broker: &mut Option<TcpStream>,
    target: SocketAddr,
    link: &Counted,
) -> io::Result<()> {
    if link.network.faults.borrow().silent {
        return swallow(client).await;
    }
    let broker = broker.insert(TcpStream::connect(target).await?);
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_broker, to_broker) = broker.split();
    tokio::try_join!(
        pump(from_client, to_broker, Direction::ToBroker, link),
        pump(from_broker, to_client, Direction::ToClient, link),
    )?;
    Ok(())
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    Counted { network, number }: &Counted,
) -> io::Result<()> {
    let mut faults = network.faults.subscribe();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = from.read(&mut chunk).await?;
        // After the read: what arrives during a stall is held here, its successors in the kernel.
        let healed = faults.wait_for(|faults| !faults.stalls(*number, direction)).await;
        healed.map_err(|_| io::Error::other("the proxy is gone"))?;
        if count == 0 {
            return to.shutdown().await;
        }
        let allowed = network.allow(count, direction);
        to.write_all(&chunk[..allowed]).await?;
        if direction == Direction::ToBroker {
            network.bytes_to_broker.fetch_add(allowed as u64, Ordering::Relaxed);
        }
        if network.end_if_used_up() || allowed < count {
            std::future::pending::<()>().await;
        }
    }
}

/// Reads and forgets until the end of the stream.
async fn swallow(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while stream.read(&mut chunk).await? > 0 {}
    Ok(())
}

/// The close that follows sends RST instead of FIN.
fn reset(stream: &TcpStream) {
    // Fails only for a socket that is gone already.
    let _gone = stream.set_zero_linger();
}

/// Ends both streams, then reads both sides to their ends: a close with unread bytes would be a reset.
async fn finish(sides: &mut [Option<TcpStream>]) {
    for stream in sides.iter_mut().flatten() {
        let _broken = stream.shutdown().await;
    }
    for stream in sides.iter_mut().flatten() {
        let _silent = timeout(FAREWELL, swallow(stream)).await;
    }
}
