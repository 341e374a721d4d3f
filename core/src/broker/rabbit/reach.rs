//! A TCP connection to a host, by whichever of its addresses answers.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};

/// How long an address is waited for alone. After that the next one is tried beside it: one that swallows everything must not use up
/// the time that the others have.
const HEAD_START: Duration = Duration::from_millis(500);

/// Connects to one of the addresses of a name. It begins with any, like a round of hosts: one that accepts and says no more is not
/// the first every time.
///
/// # Errors
///
/// The name has no address, or none of them accepts; the last refusal.
pub(super) async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let first = fastrand::usize(..addresses.len().max(1));
    addresses.rotate_left(first);
    first_of(&addresses).await
}

async fn first_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut left = addresses.iter();
    let mut tries = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match left.next() {
            Some(address) => tries.push(TcpStream::connect(*address)),
            None if tries.is_empty() => return Err(last),
            None => {}
        }
        let more = left.len() > 0;
        let head_start = async {
            match more {
                true => tokio::time::sleep(HEAD_START).await,
                false => pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(tried) = tries.next() => match tried {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            },
            () = head_start => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// An address that answers no SYN, and what keeps it so: nobody accepts, and there is no room for one more.
    async fn hole() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let listener = socket.listen(1).expect("it listens");
        let address = listener.local_addr().expect("bound");
        let mut waiting = Vec::new();
        while let Ok(connected) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            waiting.push(connected.expect("there is room"));
        }
        (address, listener, waiting)
    }

    #[tokio::test]
    async fn an_address_that_swallows_everything_does_not_keep_from_the_next_one() {
        // Given an address behind which nobody is, one that refuses, and a good one
        let (hole, _listener, _waiting) = hole().await;
        let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let refused = refusing.local_addr().expect("bound");
        drop(refusing);
        let good = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let good = (good.local_addr().expect("bound"), good);

        // When they are tried in this order
        let stream = tokio::time::timeout(Duration::from_secs(30), first_of(&[hole, refused, good.0])).await;

        // Then the good one is reached
        let stream = stream.expect("long before the hole gives up").expect("connected");
        assert_eq!(stream.peer_addr().expect("connected"), good.0);
    }

    #[tokio::test]
    async fn where_nobody_accepts_the_refusal_is_told() {
        let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let refused = refusing.local_addr().expect("bound");
        drop(refusing);

        let error = first_of(&[refused, refused]).await.expect_err("nobody listens");

        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = first_of(&[]).await.expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
