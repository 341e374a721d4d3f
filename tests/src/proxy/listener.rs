//! The task that accepts, ends and refuses connections.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::link::{self, Ending, Network};

/// What the proxy is told to do; each is answered once it is done.
#[derive(Debug)]
pub(super) enum Command {
    End(Ending, oneshot::Sender<()>),
    Refuse(oneshot::Sender<()>),
    Accept(oneshot::Sender<()>),
}

/// Owns the socket and the connections.
#[derive(Debug)]
pub(super) struct Listener {
    address: SocketAddr,
    target: SocketAddr,
    network: Arc<Network>,
    /// `None` while connections are refused.
    socket: Option<TcpListener>,
    links: JoinSet<()>,
    /// Tells the present links to end. Replaced afterwards: the next ones are not meant.
    ending: watch::Sender<Option<Ending>>,
}

impl Listener {
    pub(super) async fn bind(address: SocketAddr, target: SocketAddr, network: Arc<Network>) -> Listener {
        let ending = watch::Sender::new(None);
        let mut listener = Listener {
            address,
            target,
            network,
            socket: None,
            links: JoinSet::new(),
            ending,
        };
        listener.listen().await;
        listener
    }

    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                accepted = accept(self.socket.as_ref()) => {
                    if let Ok((client, _)) = accepted {
                        self.serve(client);
                    }
                }
                Some(_ended) = self.links.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        let done = match command {
            Command::End(ending, done) => {
                self.ending.send_replace(Some(ending));
                while self.links.join_next().await.is_some() {}
                self.ending = watch::Sender::new(None);
                done
            }
            Command::Refuse(done) => {
                self.socket = None;
                done
            }
            Command::Accept(done) => {
                self.listen().await;
                done
            }
        };
        // A test that no longer waits has its reasons.
        let _answered = done.send(());
    }

    async fn listen(&mut self) {
        if self.socket.is_none() {
            let socket = TcpListener::bind(self.address).await;
            self.socket = Some(socket.unwrap_or_else(|error| panic!("cannot listen on {}: {error}", self.address)));
        }
    }

    fn serve(&mut self, client: TcpStream) {
        // Counted here and not in the link's task: after a wait for it the count must hold.
        let counted = self.network.count();
        self.links
            .spawn(link::run(client, self.target, counted, self.ending.subscribe()));
    }
}

async fn accept(socket: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match socket {
        Some(socket) => socket.accept().await,
        None => pending().await,
    }
}
