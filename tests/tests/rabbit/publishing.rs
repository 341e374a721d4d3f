//! Publishers on a real channel.

use leveret::broker::{BrokerErrorKind, Settlement};
use leveret_tests::shared;

use super::*;

#[tokio::test]
async fn a_missing_exchange_costs_the_channel_and_not_the_connection() {
    // Given
    let session = session(&shared().await.amqp_url()).await;
    let mut publisher = session.publisher().await.expect("a publisher");
    let nowhere = Destination {
        exchange: "no such exchange".into(),
        routing_key: "a".into(),
    };

    // When
    publisher.publish(1, &nowhere, &message("a")).expect("sent");

    // Then
    match answer(&mut publisher).await {
        Answer::Lost(error) => assert_eq!(error.kind(), BrokerErrorKind::NotFound, "{error}"),
        other => panic!("{other:?}"),
    }
    let queue = declare(&*session, "after", "classic").await;
    fill(&*session, &queue, 1).await;
    assert_eq!(*session.health().borrow(), Health::Open);
}

#[tokio::test]
async fn what_was_confirmed_before_the_channel_died_is_told_before_its_loss() {
    // Given many publishes to a queue, and behind them one that ends the channel
    let session = session(&shared().await.amqp_url()).await;
    let queue = declare(&*session, "before", "classic").await;
    let mut publisher = session.publisher().await.expect("a publisher");
    for tag in 0..500 {
        publisher
            .publish(tag, &Destination::queue(&queue), &message(&tag.to_string()))
            .expect("sent");
    }
    let nowhere = Destination {
        exchange: "no such exchange".into(),
        routing_key: "a".into(),
    };
    publisher.publish(500, &nowhere, &message("last")).expect("sent");

    // When
    let mut confirmed = 0;
    let lost = loop {
        match answer(&mut publisher).await {
            Answer::Settled {
                acked: true,
                returned: None,
                ..
            } => confirmed += 1,
            Answer::Lost(error) => break error,
            other => panic!("{other:?}"),
        }
    };

    // Then no more were confirmed than are there, and the loss stays the answer
    assert_eq!(lost.kind(), BrokerErrorKind::NotFound);
    assert!(session.inspect(&queue).await.expect("a depth").ready >= confirmed);
    assert_eq!(answer(&mut publisher).await, Answer::Lost(lost));
}

#[tokio::test]
async fn what_amqp_cannot_write_is_refused_before_it_is_sent() {
    let session = session(&shared().await.amqp_url()).await;
    let queue = declare(&*session, "names", "classic").await;
    let mut publisher = session.publisher().await.expect("a publisher");
    let long = "x".repeat(256);
    let mut header = message("c");
    header.properties.headers.insert(long.clone(), true.into());

    for (to, message) in [
        (Destination::queue(&long), message("a")),
        (Destination::queue(&queue), message(&long)),
        (Destination::queue(&queue), header),
    ] {
        let error = publisher.publish(1, &to, &message).expect_err("too long");
        assert!(error.to_string().contains("255 bytes"), "{error}");
    }
    publisher
        .publish(2, &Destination::queue(&queue), &message("fits"))
        .expect("sent");
    assert!(matches!(
        answer(&mut publisher).await,
        Answer::Settled {
            tag: 2,
            acked: true,
            ..
        }
    ));
}

#[tokio::test]
async fn bodies_of_any_size_arrive_whole() {
    // Given bodies around the largest frame, and an empty one
    let session = session(&shared().await.amqp_url()).await;
    let queue = declare(&*session, "sizes", "classic").await;
    let mut publisher = session.publisher().await.expect("a publisher");
    let sizes = [0, 1, 131_063, 131_064, 131_065, 262_128, 5_000_000];
    let body = |size: usize| (0..size).map(|at| (at % 251) as u8).collect::<Vec<_>>();

    // When
    for (tag, size) in sizes.into_iter().enumerate() {
        let mut message = message(&tag.to_string());
        message.body = body(size).into();
        publisher
            .publish(tag as u64, &Destination::queue(&queue), &message)
            .expect("sent");
    }
    for _ in sizes {
        assert!(matches!(
            answer(&mut publisher).await,
            Answer::Settled { acked: true, .. }
        ));
    }

    // Then
    let mut consumer = session.consume(&queue, 1).await.expect("a consumer");
    for size in sizes {
        let delivery = delivery(&mut consumer).await;
        assert!(delivery.message.body == body(size), "{size} bytes");
        consumer.settle(delivery.lease, Settlement::Ack).expect("its own lease");
        consumer.flush();
    }
}
