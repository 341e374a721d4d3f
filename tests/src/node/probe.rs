//! Whether a node answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";
/// A method frame on channel 0: how `connection.start` begins.
const METHOD_FRAME: [u8; 3] = [1, 0, 0];
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether an AMQP server at `address` opens the handshake. An open port alone does not say that.
pub(super) async fn answers(address: SocketAddr) -> bool {
    let handshake = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(PROTOCOL_HEADER).await?;
        let mut start = [0; 3];
        stream.read_exact(&mut start).await?;
        std::io::Result::Ok(start == METHOD_FRAME)
    };
    matches!(timeout(PATIENCE, handshake).await, Ok(Ok(true)))
}
