//! The fault proxy: each fault is the one it says it is, seen from both ends.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use lapin::{Connection, ConnectionProperties};
use leveret_tests::signal::{eventually, soon};
use leveret_tests::{Proxy, shared};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, timeout};

/// Long enough for a byte on loopback, if there were one. Only ever used to see that nothing comes.
const NOTHING_COMES: Duration = Duration::from_millis(150);

/// A proxy with a listener behind it in the broker's place.
struct Wire {
    proxy: Proxy,
    broker: TcpListener,
}

impl Wire {
    async fn new() -> Wire {
        let broker = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(broker.local_addr().unwrap()).await;
        Wire { proxy, broker }
    }

    /// The two ends of a new connection, proven by a byte each way.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let mut client = TcpStream::connect(self.proxy.address()).await.unwrap();
        let (mut broker, _) = soon("the proxy to connect", self.broker.accept()).await.unwrap();
        client.write_all(b"?").await.unwrap();
        assert_eq!(read(&mut broker, 1).await, b"?");
        broker.write_all(b"!").await.unwrap();
        assert_eq!(read(&mut client, 1).await, b"!");
        (client, broker)
    }
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    soon("bytes through the proxy", stream.read_exact(&mut bytes))
        .await
        .unwrap();
    bytes
}

/// What the stream ends with: the number of bytes before its end, or the error.
async fn end_of(stream: &mut TcpStream) -> Result<usize, ErrorKind> {
    let mut rest = Vec::new();
    soon("the end of the stream", stream.read_to_end(&mut rest))
        .await
        .map_err(|error| error.kind())
}

async fn nothing_comes(stream: &mut TcpStream) -> bool {
    timeout(NOTHING_COMES, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn a_cut_resets_both_sides_and_the_next_connection_is_served() {
    // Given a connection
    let wire = Wire::new().await;
    let (mut client, mut broker) = wire.connect().await;
    assert_eq!(wire.proxy.connections(), 1);

    // When it is cut
    wire.proxy.cut().await;

    // Then both sides are reset, and a new connection works
    assert_eq!(wire.proxy.connections(), 0);
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(end_of(&mut broker).await, Err(ErrorKind::ConnectionReset));
    let _open = wire.connect().await;
    wire.proxy.wait_for_connection().await;
    wire.proxy.wait_for_accepted(2).await;
}

#[tokio::test]
async fn a_fin_ends_both_streams_without_an_error() {
    // Given a connection whose ends hang up when they hear the other one do so
    let wire = Wire::new().await;
    let (mut client, mut broker) = wire.connect().await;
    let ends = tokio::spawn(async move {
        let ends = (end_of(&mut client).await, end_of(&mut broker).await);
        drop((client, broker));
        ends
    });

    // When the proxy ends it
    wire.proxy.fin().await;

    // Then both sides saw the end of the stream
    assert_eq!(ends.await.unwrap(), (Ok(0), Ok(0)));
    assert_eq!(wire.proxy.connections(), 0);
}

#[tokio::test]
async fn a_stall_holds_back_both_ways_and_loses_nothing() {
    // Given a stalled connection
    let wire = Wire::new().await;
    let (mut client, mut broker) = wire.connect().await;
    wire.proxy.stall();

    // When both sides write
    client.write_all(b"to the broker").await.unwrap();
    broker.write_all(b"to the client").await.unwrap();

    // Then nothing comes until it is healed, and then all of it
    assert!(nothing_comes(&mut broker).await);
    assert!(nothing_comes(&mut client).await);
    wire.proxy.heal();
    assert_eq!(read(&mut broker, 13).await, b"to the broker");
    assert_eq!(read(&mut client, 13).await, b"to the client");
}

#[tokio::test]
async fn a_half_open_connection_still_works_one_way() {
    // Given a connection that is stalled towards the client
    let wire = Wire::new().await;
    let (mut client, mut broker) = wire.connect().await;
    wire.proxy.stall_to_client();

    // When both sides write
    client.write_all(b"heard").await.unwrap();
    broker.write_all(b"!").await.unwrap();

    // Then only the broker hears
    assert_eq!(read(&mut broker, 5).await, b"heard");
    assert!(nothing_comes(&mut client).await);

    // When it is stalled the other way instead, then only the client hears
    wire.proxy.heal();
    assert_eq!(read(&mut client, 1).await, b"!");
    wire.proxy.stall_to_broker();
    client.write_all(b"?").await.unwrap();
    broker.write_all(b"heard").await.unwrap();
    assert_eq!(read(&mut client, 5).await, b"heard");
    assert!(nothing_comes(&mut broker).await);
}

#[tokio::test]
async fn refused_connections_are_refused_until_accepted_on_the_same_port() {
    // Given a connection
    let wire = Wire::new().await;
    let (mut client, mut broker) = wire.connect().await;

    // When the proxy refuses, then a new one fails and the old one goes on
    wire.proxy.refuse().await;
    let refused = TcpStream::connect(wire.proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    client.write_all(b"on").await.unwrap();
    assert_eq!(read(&mut broker, 2).await, b"on");

    // When it accepts again, then a new one works
    wire.proxy.accept().await;
    let _open = wire.connect().await;
}

#[tokio::test]
async fn a_silent_proxy_accepts_and_says_nothing_ever() {
    // Given a silent proxy
    let wire = Wire::new().await;
    wire.proxy.silent();

    // When a client connects and speaks
    let mut client = TcpStream::connect(wire.proxy.address()).await.unwrap();
    wire.proxy.wait_for_connection().await;
    client.write_all(b"AMQP").await.unwrap();

    // Then nothing comes, not even once the proxy is healed, while a new connection works
    wire.proxy.heal();
    assert!(nothing_comes(&mut client).await);
    let _open = wire.connect().await;
    drop(client);
    eventually("the silent connection is over", async || wire.proxy.connections() == 1).await;
}

#[tokio::test]
async fn a_cut_in_mid_frame_lets_exactly_the_allowed_bytes_through() {
    // Given a connection that may send six more bytes
    let wire = Wire::new().await;
    let (mut client, mut broker) = wire.connect().await;
    let before = wire.proxy.bytes_to_broker();
    wire.proxy.cut_after(6);

    // When it sends more
    client.write_all(b"leveret").await.unwrap();

    // Then six arrive, and the connection is reset
    assert_eq!(read(&mut broker, 6).await, b"levere");
    assert_eq!(end_of(&mut broker).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(wire.proxy.bytes_to_broker() - before, 6);

    // And the next connection has no limit
    let _open = wire.connect().await;
}

#[tokio::test]
async fn a_side_that_closes_closes_the_other() {
    // Given a connection
    let wire = Wire::new().await;
    let (client, mut broker) = wire.connect().await;

    // When the client closes
    drop(client);

    // Then the broker sees it, and the proxy forgets the connection
    assert_eq!(end_of(&mut broker).await, Ok(0));
    drop(broker);
    wire.proxy.wait_for_no_connection().await;
}

#[tokio::test]
async fn a_dropped_proxy_leaves_no_connection_open() {
    // Given a connection
    let wire = Wire::new().await;
    let (mut client, mut broker) = wire.connect().await;

    // When the proxy is dropped
    drop(wire);

    // Then both sides see an end
    assert!(!matches!(end_of(&mut client).await, Ok(1..)));
    assert!(!matches!(end_of(&mut broker).await, Ok(1..)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reaches_its_broker_through_the_proxy_until_it_is_cut() {
    // Given a client of a real node behind a proxy
    let proxy = Proxy::start(shared().await.address()).await;
    let connection = Connection::connect(&proxy.amqp_url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();

    // When the proxy cuts it
    proxy.cut().await;

    // Then the client knows
    eventually("the connection is over", async || !connection.status().connected()).await;
    assert!(!channel.status().connected());
}

#[tokio::test]
async fn a_cut_after_some_bytes_to_the_client_comes_after_exactly_these() {
    // Given a connection that may bring five bytes more
    let wire = Wire::new().await;
    let (mut client, mut broker) = wire.connect().await;
    wire.proxy.cut_after_to_client(5);

    // When the other way carries more, and this one seven
    client.write_all(b"0123456789").await.unwrap();
    assert_eq!(read(&mut broker, 10).await, b"0123456789");
    broker.write_all(b"abcdefg").await.unwrap();

    // Then it is cut, and the next connection has nothing to keep to
    assert_eq!(end_of(&mut broker).await, Err(ErrorKind::ConnectionReset));
    let (mut client, mut broker) = wire.connect().await;
    broker.write_all(b"abcdefg").await.unwrap();
    assert_eq!(read(&mut client, 7).await, b"abcdefg");
}

#[tokio::test]
async fn a_stall_of_open_connections_spares_the_next_ones() {
    // Given a connection that is stalled
    let wire = Wire::new().await;
    let (mut client, mut broker) = wire.connect().await;
    wire.proxy.stall_open();

    // When another comes
    let _served = wire.connect().await;

    // Then it is served, while nothing gets through the first until it is healed
    client.write_all(b"late").await.unwrap();
    assert!(nothing_comes(&mut broker).await);
    wire.proxy.heal();
    assert_eq!(read(&mut broker, 4).await, b"late");
}
