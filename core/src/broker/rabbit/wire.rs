//! The bytes of a connection, as the client library reads and writes them: a socket, or TLS on one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncRead as TokioRead, AsyncWrite as TokioWrite, ReadBuf};
use tokio::net::TcpStream;

use super::sieve::Sieve;

/// A stream of our own, so that TLS is ours as well: the client library's has no precise errors, and settles for a crypto provider of
/// the whole process. What it brings is made legible on the way, for the library does not survive all that a broker delivers.
pub(super) struct Wire {
    stream: Stream,
    sieve: Sieve,
    /// A frame that was held, and how much of it has been read on.
    whole: (Vec<u8>, usize),
}

enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "rustls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::on(Stream::Plain(stream))
    }

    #[cfg(feature = "rustls")]
    pub(super) fn tls(stream: tokio_rustls::client::TlsStream<TcpStream>) -> Self {
        Self::on(Stream::Tls(Box::new(stream)))
    }

    fn on(stream: Stream) -> Self {
        Self {
            stream,
            sieve: Sieve::default(),
            whole: (Vec::new(), 0),
        }
    }

    fn writer(self: Pin<&mut Self>) -> Pin<&mut (dyn TokioWrite + Unpin)> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream),
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => Pin::new(stream),
        }
    }

    /// Hands on what is left of a frame that was held.
    fn hand_on(&mut self, buffer: &mut [u8]) -> usize {
        let (whole, read) = &mut self.whole;
        let count = buffer.len().min(whole.len() - *read);
        buffer[..count].copy_from_slice(&whole[*read..*read + count]);
        *read += count;
        if *read == whole.len() {
            self.whole = (Vec::new(), 0);
        }
        count
    }
}

impl Stream {
    /// How many bytes were read; 0: there are no more.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let read = match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            // The end without a farewell that is no attack here: frames have lengths.
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => match Pin::new(stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                other => other,
            },
        };
        read.map_ok(|()| buffer.filled().len())
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Nothing is handed on while a frame is held that is not whole: no bytes would be the end.
        loop {
            if !wire.whole.0.is_empty() {
                return Poll::Ready(Ok(wire.hand_on(buffer)));
            }
            let Some(wanted) = wire.sieve.wants() else {
                let read = ready!(wire.stream.read(cx, buffer))?;
                let passed = wire.sieve.sift(&mut buffer[..read]);
                if passed > 0 || read == 0 {
                    return Poll::Ready(Ok(passed));
                }
                continue;
            };
            let room = wanted.min(buffer.len());
            let read = ready!(wire.stream.read(cx, &mut buffer[..room]))?;
            if read == 0 {
                return Poll::Ready(Ok(0));
            }
            if let Some(whole) = wire.sieve.add(&buffer[..read]) {
                wire.whole = (whole, 0);
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write_vectored(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(cx)
    }
}
