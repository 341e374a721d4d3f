//! The bytes of a connection, as the client library reads and writes them: a socket, or TLS on one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncRead as TokioRead, AsyncWrite as TokioWrite, ReadBuf};
use tokio::net::TcpStream;

use super::heard::Ear;
use super::screen::Screen;

/// How much is read at once of what is not passed on as it is: some fifty short messages.
const PIECE: usize = 16 * 1_024;

/// A stream of our own, so that TLS is ours as well: the client library's has no precise errors, and settles for a crypto provider of
/// the whole process.
pub(super) struct Wire {
    stream: Stream,
    /// What comes in goes through it.
    screen: Screen,
    /// Where it is read to first. Kept, so that it need not be cleared for each read.
    piece: Box<[u8]>,
    ear: Ear,
}

/// What a wire is made of.
pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "rustls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn new(stream: Stream, ear: Ear) -> Self {
        Self {
            stream,
            screen: Screen::default(),
            piece: vec![0; PIECE].into(),
            ear,
        }
    }

    /// Reads into `buffer`, past the screen where it may.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let given = self.screen.give(buffer);
            if given > 0 || buffer.is_empty() {
                return Poll::Ready(Ok(given));
            }
            let direct = self.screen.may_pass().min(buffer.len());
            if direct > 0 {
                let read = ready!(take(&mut self.stream, &mut self.ear, cx, &mut buffer[..direct]))?;
                self.screen.passed(read);
                return Poll::Ready(Ok(read));
            }
            let read = ready!(take(&mut self.stream, &mut self.ear, cx, &mut self.piece))?;
            self.screen.take_in(&self.piece[..read]);
            if read == 0 {
                self.screen.end();
                return Poll::Ready(Ok(self.screen.give(buffer)));
            }
        }
    }
}

/// What there is on the stream, not unheard.
fn take(stream: &mut Stream, ear: &mut Ear, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let read = ready!(stream.read(cx, buffer));
    match &read {
        Ok(read) => ear.hear(&buffer[..*read]),
        Err(_) => ear.end(),
    }
    Poll::Ready(read)
}

impl Stream {
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

    fn writer(&mut self) -> Pin<&mut (dyn TokioWrite + Unpin)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(stream),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.get_mut().read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream.writer().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream.writer().poll_write_vectored(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.writer().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.writer().poll_shutdown(cx)
    }
}
