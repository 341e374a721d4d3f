//! One handshake with one host.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use async_rs::Runtime;
use async_rs::traits::Reactor;
use lapin::tcp::AsyncTcpStream;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties};

use super::line::Line;
use super::quiet::{self, Quiet};
use super::{AmqpThread, error};
use crate::broker::{BrokerError, BrokerErrorKind};
use crate::connect::{AmqpEndpoint, Deadlines, Host};

type Stream = <Quiet as Reactor>::TcpStream;

/// How to connect, whoever the host is.
pub(super) struct Dialer {
    /// In seconds.
    pub(super) heartbeat: u16,
    pub(super) deadlines: Deadlines,
    pub(super) thread: Arc<AmqpThread>,
}

impl Dialer {
    /// Connects to one host within the connect deadline.
    pub(super) async fn dial(
        &self,
        endpoint: &AmqpEndpoint,
        host: &Host,
        name: &str,
    ) -> Result<Arc<Line>, BrokerError> {
        let deadline = self.deadlines.connect;
        // Cut when this future ends early: otherwise the client's thread waits for a silent host for good.
        let cable = Cable::default();
        let connecting = self.handshake(endpoint, host, name, &cable);
        let failure = match tokio::time::timeout(deadline, connecting).await {
            Ok(Ok(connection)) => return Ok(Line::start(connection, cable, self.deadlines, Arc::clone(&self.thread))),
            Ok(Err(error)) => error::handshake(&error),
            Err(_) => BrokerError::new(BrokerErrorKind::Timeout, format!("no handshake within {deadline:?}")),
        };
        let text = format!("cannot connect to {host}: {failure}");
        Err(BrokerError::new(failure.kind(), text))
    }

    async fn handshake(
        &self,
        endpoint: &AmqpEndpoint,
        host: &Host,
        name: &str,
        cable: &Cable,
    ) -> lapin::Result<Connection> {
        let runtime = Runtime::new(Quiet::on(self.thread.handle().clone()));
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let (deadline, end) = (self.deadlines.connect, cable.end());
        let plug_in = async move |uri: AMQPUri, _: Runtime<Quiet>| {
            // This runs on the client's own thread of this connection, which is to be silent from here on.
            quiet::this_thread();
            let address = (uri.authority.host.as_str(), uri.authority.port);
            let stream = tokio::time::timeout(deadline, tokio::net::TcpStream::connect(address)).await;
            let stream = end.hold(stream.map_err(io::Error::from)??)?;
            Ok(AsyncTcpStream::Plain(stream))
        };
        Connection::connector(self.uri(endpoint, host), runtime, plug_in, properties).await
    }

    /// The client's URI, built by hand: its parser loses IPv6 addresses.
    fn uri(&self, endpoint: &AmqpEndpoint, host: &Host) -> AMQPUri {
        AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: endpoint.username().to_owned(),
                    password: endpoint.password.reveal().to_owned(),
                },
                host: host.name().to_owned(),
                port: host.port(),
            },
            vhost: endpoint.vhost().to_owned(),
            query: AMQPQueryString {
                heartbeat: Some(self.heartbeat),
                ..AMQPQueryString::default()
            },
        }
    }
}

/// A second hold on a connection's socket, to cut it whatever the client is doing; it is cut when this is dropped. Without it
/// a blocked connection, or one whose host never answers, would keep its thread.
#[derive(Debug, Default)]
pub(super) struct Cable(Arc<Mutex<Socket>>);

/// The end of the [`Cable`] that the socket is plugged into.
struct CableEnd(Arc<Mutex<Socket>>);

#[derive(Debug, Default)]
enum Socket {
    #[default]
    Unplugged,
    Plugged(TcpStream),
    Cut,
}

impl Cable {
    fn end(&self) -> CableEnd {
        CableEnd(Arc::clone(&self.0))
    }

    pub(super) fn cut(&self) {
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Socket::Plugged(stream) = std::mem::replace(&mut *socket, Socket::Cut) {
            // It fails when the connection is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.cut();
    }
}

impl CableEnd {
    fn hold(&self, stream: tokio::net::TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*socket, Socket::Cut) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        *socket = Socket::Plugged(stream.try_clone()?);
        Ok(Stream::new(tokio::net::TcpStream::from_std(stream)?))
    }
}
