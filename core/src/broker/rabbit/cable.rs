//! A connection's socket, held a second time: [`Cable`].

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A second hold on a connection's socket, to cut it whatever the client is doing; it is cut when this is dropped. Without it
/// a blocked connection, or one whose host never answers, would keep its thread.
#[derive(Debug, Default)]
pub(super) struct Cable(Arc<Mutex<Socket>>);

/// The end of the [`Cable`] that the socket is plugged into.
pub(super) struct CableEnd(Arc<Mutex<Socket>>);

#[derive(Debug, Default)]
enum Socket {
    #[default]
    Unplugged,
    Plugged(TcpStream),
    Cut,
}

impl Cable {
    pub(super) fn end(&self) -> CableEnd {
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
    /// Keeps a second hold on the socket.
    ///
    /// # Errors
    ///
    /// It was cut before the socket was there.
    pub(super) fn hold(&self, stream: tokio::net::TcpStream) -> io::Result<tokio::net::TcpStream> {
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*socket, Socket::Cut) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        *socket = Socket::Plugged(stream.try_clone()?);
        tokio::net::TcpStream::from_std(stream)
    }
}
