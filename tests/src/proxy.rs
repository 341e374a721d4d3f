//! A TCP proxy in front of a broker that breaks connections in every way a network does.
//!
//! # Layout
//!
//! - [`Proxy`]: what a test does to the network.
//! - `listener`: the task that accepts, ends and refuses connections.
//! - `link`: one connection, its two directions, and what is wrong with them.

mod link;
mod listener;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::link::{Direction, Ending, Network};
use self::listener::{Command, Listener};
use crate::ports::PortClaim;
use crate::signal;

/// Forwards connections to a broker, unharmed until told otherwise. Ends with everything it holds when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// The port stays ours while connections are refused.
    _claim: PortClaim,
    network: Arc<Network>,
    commands: mpsc::UnboundedSender<Command>,
    listener: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of its own on loopback, for connections to `target`.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub async fn start(target: SocketAddr) -> Proxy {
        Proxy::start_at(Ipv4Addr::LOCALHOST, target).await
    }

    /// [`start`](Proxy::start), on another address of this machine; the port is claimed on 127.0.0.1 all the same.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub async fn start_at(address: Ipv4Addr, target: SocketAddr) -> Proxy {
        let claim = PortClaim::take();
        let address = SocketAddr::from((address, claim.number()));
        // Unbounded: what is sent here are a test's own calls, each of which waits for its answer.
        let (commands, received) = mpsc::unbounded_channel();
        let network = Arc::new(Network::new(commands.clone()));
        let listener = Listener::bind(address, target, Arc::clone(&network)).await;
        let listener = tokio::spawn(listener.run(received));
        Proxy {
            address,
            _claim: claim,
            network,
            commands,
            listener,
        }
    }

    /// Where clients connect: `amqp://USER:PASSWORD@127.0.0.1:PORT`, usually.
    pub fn amqp_url(&self) -> String {
        format!("amqp://{}@{}", crate::secret::LOGIN, self.address())
    }

    /// The proxy's own address; the same while connections are refused.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.network.open()
    }

    /// How many connections were ever accepted.
    pub fn accepted(&self) -> u64 {
        self.network.accepted().count()
    }

    /// How many bytes were forwarded to the broker so far.
    pub fn bytes_to_broker(&self) -> u64 {
        self.network.bytes_to_broker()
    }

    /// Waits until a connection is open. After [`cut`](Proxy::cut) that is a new one.
    ///
    /// # Panics
    ///
    /// After [`signal::DEADLINE`].
    pub async fn wait_for_connection(&self) {
        self.wait_for_open("a connection through the proxy", |open| open > 0)
            .await;
    }

    /// Waits until no connection is open.
    ///
    /// # Panics
    ///
    /// After [`signal::DEADLINE`].
    pub async fn wait_for_no_connection(&self) {
        self.wait_for_open("the end of all connections through the proxy", |open| open == 0)
            .await;
    }

    /// Waits until `wanted` connections were ever accepted.
    ///
    /// # Panics
    ///
    /// After [`signal::DEADLINE`].
    pub async fn wait_for_accepted(&self, wanted: u64) {
        self.network.accepted().wait_for(wanted).await;
    }

    /// Resets all connections, on both sides, and returns once that is done. New ones are served.
    pub async fn cut(&self) {
        self.command(|done| Command::End(Ending::Reset, done)).await;
    }

    /// Ends all connections in an orderly way as far as TCP is concerned: both sides read an end of stream.
    pub async fn fin(&self) {
        self.command(|done| Command::End(Ending::Finish, done)).await;
    }

    /// Resets all connections once `bytes` more have gone to the broker: in the midst of a frame, usually.
    pub fn cut_after(&self, bytes: u64) {
        self.network.end_after(bytes, Direction::ToBroker, Ending::Reset);
    }

    /// Resets all connections once `bytes` more have gone to clients.
    pub fn cut_after_to_client(&self, bytes: u64) {
        self.network.end_after(bytes, Direction::ToClient, Ending::Reset);
    }

    /// Ends all connections once `bytes` more have gone to the broker, as [`fin`](Proxy::fin) does.
    pub fn fin_after(&self, bytes: u64) {
        self.network.end_after(bytes, Direction::ToBroker, Ending::Finish);
    }

    /// Ends all connections once `bytes` more have gone to clients, as [`fin`](Proxy::fin) does.
    pub fn fin_after_to_client(&self, bytes: u64) {
        self.network.end_after(bytes, Direction::ToClient, Ending::Finish);
    }

    /// Refuses new connections until [`accept`](Proxy::accept). Those that are open go on.
    pub async fn refuse(&self) {
        self.command(Command::Refuse).await;
    }

    /// Accepts connections again.
    ///
    /// # Panics
    ///
    /// If the port is taken, which the claim on it should prevent.
    pub async fn accept(&self) {
        self.command(Command::Accept).await;
    }

    /// Forwards nothing either way, now and on new connections; all stay open, and nothing is lost.
    pub fn stall(&self) {
        self.stall_to_broker();
        self.stall_to_client();
    }

    /// Forwards nothing to the broker: it hears nothing, the client hears everything.
    pub fn stall_to_broker(&self) {
        self.network.stall(Direction::ToBroker);
    }

    /// Forwards nothing to the client: its messages arrive, it hears nothing.
    pub fn stall_to_client(&self) {
        self.network.stall(Direction::ToClient);
    }

    /// Forwards nothing either way on the connections that are open now, as where a router has forgotten them; new ones are served.
    pub fn stall_open(&self) {
        self.network.stall_open();
    }

    /// Accepts new connections without ever forwarding a byte of them, not even after [`heal`](Proxy::heal).
    pub fn silent(&self) {
        self.network.silence();
    }

    /// Ends stalls and silence. What was held back is forwarded. Refusal is ended by [`accept`](Proxy::accept).
    pub fn heal(&self) {
        self.network.heal();
    }

    async fn wait_for_open(&self, what: &str, holds: impl Fn(usize) -> bool) {
        let mut open = self.network.watch_open();
        let reached = signal::soon(what, open.wait_for(|open| holds(*open))).await;
        reached.expect("the network holds the sender");
    }

    async fn command(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, wait) = oneshot::channel();
        self.commands
            .send(command(done))
            .expect("the listener runs as long as the proxy lives");
        signal::soon("the proxy", wait)
            .await
            .expect("the listener answers every command");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections' tasks are in a set that the listener's task owns: they are aborted with it.
        self.listener.abort();
    }
}
