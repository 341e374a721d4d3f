//! One handshake with one host.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_rs::Runtime;
use lapin::tcp::AsyncTcpStream;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties};
use tokio::sync::watch;

use super::cable::{Cable, CableEnd};
use super::heard::{Ear, Heard, unexplained_end};
use super::line::Line;
use super::quiet::{self, Quiet};
use super::reach::reach;
use super::tls::Tls;
use super::wire::{Stream, Wire};
use super::{AmqpThread, error};
use crate::broker::{BrokerError, BrokerErrorKind};
use crate::connect::{Credentials, Deadlines, Host};

/// How to connect, whoever the host is.
pub(super) struct Dialer {
    pub(super) vhost: String,
    /// `None`: unencrypted.
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) deadlines: Deadlines,
    pub(super) thread: Arc<AmqpThread>,
}

impl Dialer {
    /// Connects to one host within the connect deadline. What the connection is: its name, which is shown to the broker's
    /// operator, and its heartbeat in seconds.
    pub(super) async fn dial(
        &self,
        host: &Host,
        credentials: &Credentials,
        what: (&str, u16),
    ) -> Result<Arc<Line>, BrokerError> {
        let deadline = self.deadlines.connect;
        // Cut when this future ends early: otherwise the client's thread waits for a silent host for good.
        let cable = Cable::default();
        let (ear, heard) = watch::channel(Heard::default());
        let connecting = self.handshake(host, credentials, what, (&cable, ear));
        let failure = tokio::select! {
            biased;
            connected = connecting => match connected {
                Ok(connection) => return Ok(Line::start(connection, cable, self.deadlines, Arc::clone(&self.thread))),
                Err(error) => self.explain(&error, credentials.username(), *heard.borrow()),
            },
            () = unexplained_end(heard.clone()) => {
                error::cut_short(None, *heard.borrow(), self.tls.is_some())
            }
            () = tokio::time::sleep(deadline) => silence(deadline),
        };
        let text = format!("cannot connect to {host}: {failure}");
        Err(BrokerError::new(failure.kind(), text))
    }

    async fn handshake(
        &self,
        host: &Host,
        credentials: &Credentials,
        (name, heartbeat): (&str, u16),
        (cable, ear): (&Cable, watch::Sender<Heard>),
    ) -> lapin::Result<Connection> {
        let runtime = Runtime::new(Quiet::on(self.thread.handle().clone()));
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let plug = Plug {
            tls: self.tls.clone(),
            host: host.clone(),
            end: cable.end(),
            ear,
        };
        let deadline = self.deadlines.connect;
        let plug_in = async move |_: AMQPUri, _: Runtime<Quiet>| {
            // This runs on the client's own thread of this connection, which is to be silent from here on.
            quiet::this_thread();
            let wire = tokio::time::timeout(deadline, plug.connect()).await;
            Ok(AsyncTcpStream::Plain(
                wire.map_err(|_| io::Error::other(silence(deadline)))??,
            ))
        };
        Connection::connector(self.uri(host, credentials, heartbeat), runtime, plug_in, properties).await
    }

    fn explain(&self, error: &lapin::Error, username: &str, heard: Heard) -> BrokerError {
        if let lapin::ErrorKind::IOError(cause) = error.kind() {
            // Ours, from before there was a connection.
            if let Some(ours) = cause.get_ref().and_then(|inner| inner.downcast_ref::<BrokerError>()) {
                return ours.clone();
            }
            if let Some(explained) = self.tls.as_ref().and_then(|tls| tls.explain(cause)) {
                return explained;
            }
            if heard.connected {
                return error::cut_short(Some(cause), heard, self.tls.is_some());
            }
        }
        error::handshake(error, username, &self.vhost)
    }

    /// The client's URI, built by hand: its parser loses IPv6 addresses. The scheme is of no consequence: we encrypt.
    fn uri(&self, host: &Host, credentials: &Credentials, heartbeat: u16) -> AMQPUri {
        AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: credentials.username().to_owned(),
                    password: credentials.password.reveal().to_owned(),
                },
                host: host.name().to_owned(),
                port: host.port(),
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: Some(heartbeat),
                ..AMQPQueryString::default()
            },
        }
    }
}

/// What leads from a host to a wire.
struct Plug {
    tls: Option<Arc<Tls>>,
    host: Host,
    end: CableEnd,
    ear: watch::Sender<Heard>,
}

impl Plug {
    async fn connect(&self) -> io::Result<Wire> {
        // Before the socket: what cannot be encrypted need not begin.
        let connector = self.tls.as_ref().map(|tls| tls.connector(&self.host));
        let connector = connector.transpose().map_err(io::Error::other)?;
        let stream = reach(self.host.name(), self.host.port()).await?;
        let stream = self.end.hold(stream)?;
        let stream = match connector {
            Some(connector) => connector.encrypt(stream).await?,
            None => Stream::Plain(stream),
        };
        Ok(Wire::new(stream, Ear::new(self.ear.clone())))
    }
}

/// Whoever notices first that the time is over says the same.
fn silence(deadline: Duration) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Timeout, format!("no handshake within {deadline:?}"))
}
