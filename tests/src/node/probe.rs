//! Whether a node answers, and what it says that it is.

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
    handshake(address).await.is_some()
}

/// The version in the server's properties, such as "3.10.8".
pub(super) async fn version(address: SocketAddr) -> Option<String> {
    let start = handshake(address).await?;
    // A short string as the key, a long string as its value.
    let key = b"\x07versionS";
    let at = start.windows(key.len()).position(|window| window == key)? + key.len();
    let (length, rest) = start.get(at..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    String::from_utf8(rest.get(..length)?.to_vec()).ok()
}

/// The payload of `connection.start`.
async fn handshake(address: SocketAddr) -> Option<Vec<u8>> {
    let handshake = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(PROTOCOL_HEADER).await?;
        let mut begin = [0; 3];
        stream.read_exact(&mut begin).await?;
        if begin != METHOD_FRAME {
            return Ok(None);
        }
        let mut payload = vec![0; usize::try_from(stream.read_u32().await?).unwrap_or(0)];
        stream.read_exact(&mut payload).await?;
        std::io::Result::Ok(Some(payload))
    };
    timeout(PATIENCE, handshake).await.ok()?.ok()?
}
