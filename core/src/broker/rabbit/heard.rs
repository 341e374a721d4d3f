//! What has come from a host during its handshake: [`Heard`]. The client library goes on waiting where a connection is closed in order,
//! and leaves unread what came right before a reset; the end and the first byte are told from here.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;

/// How long the client library has to say why a connection ended, before only the end is told.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The type of the frame that a broker begins with.
const METHOD: u8 = 1;

/// What has come so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// There was a connection.
    pub(super) connected: bool,
    /// What came first on it may be AMQP.
    pub(super) amqp: bool,
    over: bool,
}

/// Told of everything that is read from one connection.
#[derive(Debug)]
pub(super) struct Ear {
    heard: watch::Sender<Heard>,
    /// Something was read.
    begun: bool,
}

impl Ear {
    pub(super) fn new(heard: watch::Sender<Heard>) -> Self {
        heard.send_replace(Heard {
            connected: true,
            ..Heard::default()
        });
        Self { heard, begun: false }
    }

    /// Nothing read is the end.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let Some(first) = bytes.first() else {
            return self.end();
        };
        if !self.begun {
            self.begun = true;
            // A broker that wants another version answers with the name of the protocol.
            let amqp = matches!(*first, METHOD | b'A');
            self.heard.send_modify(|heard| heard.amqp = amqp);
        }
    }

    /// The connection is closed, or broken.
    pub(super) fn end(&self) {
        self.heard.send_modify(|heard| heard.over = true);
    }
}

/// Returns once the connection has ended, and the client library has had its time to say why.
pub(super) async fn unexplained_end(mut heard: watch::Receiver<Heard>) {
    if heard.wait_for(|heard| heard.over).await.is_err() {
        // The client has dropped it, and knows why.
        pending::<()>().await;
    }
    tokio::time::sleep(LAST_WORDS).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(reads: &[&[u8]]) -> Heard {
        let (sender, heard) = watch::channel(Heard::default());
        let mut ear = Ear::new(sender);
        for read in reads {
            ear.hear(read);
        }
        let heard = *heard.borrow();
        assert!(heard.connected);
        heard
    }

    #[test]
    fn the_first_byte_tells_whether_it_is_amqp_and_an_empty_read_is_the_end() {
        let tls_alert = b"\x15\x03\x03\x00\x02\x02\x46";
        for (reads, amqp, over) in [
            (&[][..], false, false),
            (&[&b"\x01\0\0"[..], b"x"], true, false),
            (&[b"AMQP\0\0\x09\x01", b""], true, true),
            (&[tls_alert, b"\x01"], false, false),
            (&[b""], false, true),
        ] {
            let heard = after(reads);
            assert_eq!((heard.amqp, heard.over), (amqp, over), "{reads:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_told_after_the_last_words_and_never_where_the_client_let_go() {
        let (sender, heard) = watch::channel(Heard::default());
        let ear = Ear::new(sender);
        ear.end();
        unexplained_end(heard.clone()).await;

        // One that was let go without an end is the client's to explain.
        let (sender, heard) = watch::channel(Heard::default());
        drop(Ear::new(sender));
        let told = tokio::time::timeout(10 * LAST_WORDS, unexplained_end(heard)).await;
        assert!(told.is_err());
    }
}
