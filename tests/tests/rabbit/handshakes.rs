//! Handshakes that the network or the other side ends.

use leveret::broker::{BrokerError, BrokerErrorKind};
use leveret_tests::{Proxy, shared};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_connection_that_is_reset_in_the_midst_of_its_handshake_is_given_up_at_once() {
    is_given_up_at_once([Proxy::cut_after, Proxy::cut_after_to_client]).await;
}

#[tokio::test]
async fn a_connection_that_is_closed_in_the_midst_of_its_handshake_is_given_up_at_once() {
    is_given_up_at_once([Proxy::fin_after, Proxy::fin_after_to_client]).await;
}

async fn is_given_up_at_once(endings: [fn(&Proxy, u64); 2]) {
    // Given a network that ends a connection after so many bytes, in either direction
    let proxy = Proxy::start(shared().await.address()).await;
    let broker = broker(&options(&proxy.amqp_url()).connect_deadline(NEVER));
    for end_after in endings {
        for bytes in (1..=8).chain((9..600).step_by(29)) {
            end_after(&proxy, bytes);

            // When one is opened
            let connected = soon("an answer", broker.connect("cut short")).await;

            // Then whoever opened it is told, and does not wait for the deadline
            let told = connected.as_ref().map_err(BrokerError::kind).err();
            assert!(
                matches!(told, None | Some(BrokerErrorKind::Transport)),
                "after {bytes} bytes: {connected:?}"
            );
        }
        // What is left of the last allowance is nobody's.
        proxy.cut_after(1 << 40);
    }
}

/// The URL of a port whose visitors are greeted like this.
async fn port<F: Future<Output = ()> + Send>(greet: impl Fn(TcpStream) -> F + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("amqp://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((visitor, _)) = listener.accept().await {
            greet(visitor).await;
        }
    });
    url
}

async fn what_is_said_of(url: &str) -> String {
    let broker = broker(&options(url).connect_deadline(NEVER));
    let error = soon("an answer", broker.connect("x")).await.expect_err("no broker");
    error.to_string()
}

#[tokio::test]
async fn a_port_that_hangs_up_before_it_speaks_amqp_may_be_one_for_tls_and_the_error_says_so() {
    let closing = port(async |mut visitor| {
        let _eight = visitor.read_u64().await;
        let _gone = visitor.shutdown().await;
    });
    let resetting = port(async |mut visitor| {
        let _eight = visitor.read_u64().await;
        let _set = visitor.set_zero_linger();
    });
    // As a TLS listener does: an alert, and a reset since not all that came was read.
    let alerting = port(async |mut visitor| {
        let _some = visitor.read_u32().await;
        let _sent = visitor.write_all(b"\x15\x03\x03\x00\x02\x02\x46").await;
    });
    for url in [closing.await, resetting.await, alerting.await] {
        let text = what_is_said_of(&url).await;
        assert!(text.contains("amqps://"), "{text}");
    }
}

#[tokio::test]
async fn a_broker_that_hangs_up_is_not_taken_for_a_tls_listener() {
    // Given one that begins like a broker
    let url = port(async |mut visitor| {
        let _eight = visitor.read_u64().await;
        let _sent = visitor.write_all(b"\x01\0\0\0\0\x01\xff").await;
        let _gone = visitor.shutdown().await;
    });

    let text = what_is_said_of(&url.await).await;

    assert!(
        text.contains("midst of the handshake") && !text.contains("amqps://"),
        "{text}"
    );
}
