//! Properties that only a foreign program writes, and that no client library would.

use leveret::broker::Settlement;
use leveret::envelope::{DecodeError, Incoming};
use leveret_tests::secret::LOGIN;
use leveret_tests::shared;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What a producer writes here, `spoiling` turns into bytes that are no UTF-8.
const SPOILT: &str = "XXXX";

/// Where to connect for what is published to be spoilt on its way to the broker.
async fn spoiling() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("amqp://{LOGIN}@{}", listener.local_addr().expect("bound"));
    let broker = shared().await.address();
    // One connection, as long as it lasts.
    tokio::spawn(async move {
        let (client, _) = listener.accept().await?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_broker, mut to_broker) = TcpStream::connect(broker).await?.into_split();
        let back = tokio::spawn(async move { tokio::io::copy(&mut from_broker, &mut to_client).await });
        let mut buffer = [0; 16_384];
        while let read @ 1.. = from_client.read(&mut buffer).await? {
            let bytes = &mut buffer[..read];
            while let Some(at) = bytes.windows(4).position(|window| window == SPOILT.as_bytes()) {
                bytes[at..at + 4].fill(0xff);
            }
            to_broker.write_all(bytes).await?;
        }
        back.abort();
        std::io::Result::Ok(())
    });
    url
}

#[tokio::test]
async fn a_message_that_cannot_be_read_costs_no_connection_and_what_follows_it_arrives() {
    // Given messages whose `type`, or a header's name, is no UTF-8, and one that is as it should be
    let producing = session(&spoiling().await).await;
    let queue = declare(&*producing, "unreadable", "quorum").await;
    let mut publisher = producing.publisher().await.expect("a publisher");
    let (mut kind, mut header) = (message("kind"), message("header"));
    kind.properties.kind = Some(SPOILT.into());
    header.properties.headers.insert(SPOILT.to_owned(), 1.into());
    for (tag, message) in [kind, header, message("good")].iter().enumerate() {
        publisher
            .publish(tag as u64, &Destination::queue(&queue), message)
            .expect("sent");
    }
    for _ in 0..3 {
        let Answer::Settled { acked: true, .. } = answer(&mut publisher).await else {
            panic!("the broker does not look at properties");
        };
    }

    // When they are consumed, then all arrive on one connection, and those two say what they are
    let session = session(&shared().await.amqp_url()).await;
    let mut consumer = session.consume(&queue, 3).await.expect("a consumer");
    for (id, readable) in [("kind", false), ("header", false), ("good", true)] {
        let delivery = delivery(&mut consumer).await;
        assert_eq!(delivery.message.properties.message_id.as_deref(), Some(id));
        assert_eq!(delivery.message.body, message(id).body);
        let read = Incoming::read(&delivery.message);
        assert_eq!(read.is_ok(), readable, "{read:?}");
        assert!(readable || read == Err(DecodeError::Properties));
        consumer.settle(delivery.lease, Settlement::Ack).expect("its own lease");
    }
    consumer.close().await;
    session.close().await;
    producing.close().await;
}
