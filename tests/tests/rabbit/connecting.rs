//! Connections: how they begin, what is known of them, how they end.

use std::net::TcpListener;

use leveret::broker::{BrokerErrorKind, ExchangeKind};
use leveret_tests::secret::LOGIN;
use leveret_tests::{Node, Proxy, shared};
use tokio::io::AsyncReadExt;

use super::*;

#[tokio::test]
async fn a_host_that_does_not_answer_is_passed_over() {
    // Given a port where nobody listens beside the broker's
    let unused = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let url = format!(
        "amqp://{LOGIN}@127.0.0.1:{},127.0.0.1:{}",
        unused.port(),
        shared().await.port()
    );
    let broker = broker(&options(&url));

    // When as often as it takes to begin with either
    for _ in 0..8 {
        let session = soon("a session", broker.connect("hosts")).await.expect("connected");
        session.close().await;
    }
}

#[tokio::test]
async fn the_name_of_the_connection_is_shown_to_the_operator() {
    let node = shared().await;
    let name = format!("named {}", std::process::id());

    let session = broker(&options(&node.amqp_url()))
        .connect(&name)
        .await
        .expect("connected");

    assert!(node.connections().await.contains(&name));
    session.close().await;
}

#[tokio::test]
async fn a_refused_login_is_told_apart_and_does_not_show_the_password() {
    let port = shared().await.port();
    for url in [
        format!("amqp://guest:hunter-2@127.0.0.1:{port}"),
        format!("amqp://{LOGIN}@127.0.0.1:{port}/no-such-vhost"),
    ] {
        let broker = broker(&options(&url));
        let error = soon("a refusal", broker.connect("x")).await.expect_err("refused");

        assert_eq!(error.kind(), BrokerErrorKind::Authentication, "{error}");
        assert!(!format!("{error} {error:?} {broker:?}").contains("hunter-2"));
    }
}

#[tokio::test]
async fn a_silent_host_costs_the_deadline_and_no_thread_waits_for_it_longer() {
    // Given a host that accepts and says nothing
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("amqp://{}", listener.local_addr().expect("an address"));

    // When
    let broker = broker(&options(&url).connect_deadline(SHORT));
    let error = broker.connect("x").await.expect_err("silence");

    // Then our side of the socket is closed as well, which ends the thread that waited for it
    assert_eq!(error.kind(), BrokerErrorKind::Timeout, "{error}");
    let (mut socket, _) = listener.accept().await.expect("it did connect");
    let mut greeting = Vec::new();
    soon("the end of the connection", socket.read_to_end(&mut greeting))
        .await
        .expect("an end of stream");
    assert_eq!(greeting, b"AMQP\0\0\x09\x01");
    // Until here: its thread would take every socket with it.
    drop(broker);
}

#[tokio::test]
async fn a_cut_connection_is_known_to_all_who_use_it() {
    // Given a publisher with a message on its way, and a consumer
    let proxy = Proxy::start(shared().await.address()).await;
    let session = session(&proxy.amqp_url()).await;
    let queue = declare(&*session, "cut", "classic").await;
    let mut publisher = session.publisher().await.expect("a publisher");
    let mut consumer = session.consume(&queue, 1).await.expect("a consumer");
    proxy.stall();
    publisher
        .publish(1, &Destination::queue(&queue), &message("a"))
        .expect("sent");

    // When
    proxy.cut().await;

    // Then
    assert_eq!(closed(&*session).await.kind(), BrokerErrorKind::Transport);
    match (answer(&mut publisher).await, event(&mut consumer).await) {
        (Answer::Lost(one), ConsumerEvent::Lost(other)) => {
            assert_eq!(
                (one.kind(), other.kind()),
                (BrokerErrorKind::Transport, BrokerErrorKind::Transport)
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(session.publisher().await.is_err());
    session.close().await;
    assert_eq!(closed(&*session).await.kind(), BrokerErrorKind::Transport);
}

#[tokio::test]
async fn a_connection_that_the_broker_ends_says_so() {
    let node = Node::start().await;
    let session = session(&node.amqp_url()).await;

    node.close_all_connections().await;

    let error = closed(&*session).await;
    assert_eq!(error.kind(), BrokerErrorKind::Transport);
    assert!(error.to_string().contains("CONNECTION_FORCED"), "{error}");
}

#[tokio::test]
async fn a_blocked_connection_says_so_and_still_closes() {
    // Given a broker with an alarm
    let node = Node::start().await;
    let options = options(&node.amqp_url()).close_deadline(SHORT);
    let session = broker(&options).connect("blocked").await.expect("connected");
    let queue = declare(&*session, "blocked", "classic").await;
    let mut publisher = session.publisher().await.expect("a publisher");
    node.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"])
        .await
        .expect("an alarm");

    // When
    let mut health = session.health();
    let blocked = health.wait_for(|health| matches!(health, Health::Blocked(_)));
    publisher
        .publish(1, &Destination::queue(&queue), &message("a"))
        .expect("sent");
    soon("the alarm", blocked).await.expect("a health");

    // Then
    soon("the close", session.close()).await;
    assert_eq!(closed(&*session).await.kind(), BrokerErrorKind::Closed);
    assert!(matches!(answer(&mut publisher).await, Answer::Lost(_)));
}

#[tokio::test]
async fn an_alarm_that_ends_lets_the_messages_go() {
    let node = Node::start().await;
    let session = session(&node.amqp_url()).await;
    let queue = declare(&*session, "unblocked", "classic").await;
    let mut publisher = session.publisher().await.expect("a publisher");
    node.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"])
        .await
        .expect("an alarm");
    let mut health = session.health();
    publisher
        .publish(1, &Destination::queue(&queue), &message("a"))
        .expect("sent");
    soon(
        "the alarm",
        health.wait_for(|health| matches!(health, Health::Blocked(_))),
    )
    .await
    .expect("a health");

    node.ctl(&["set_vm_memory_high_watermark", "0.4"])
        .await
        .expect("no alarm");

    assert!(matches!(
        answer(&mut publisher).await,
        Answer::Settled {
            tag: 1,
            acked: true,
            ..
        }
    ));
    soon(
        "the end of the alarm",
        health.wait_for(|health| *health == Health::Open),
    )
    .await
    .expect("a health");
}

#[tokio::test]
async fn a_declaration_that_does_not_fit_is_named() {
    // Given a queue
    let session = session(&shared().await.amqp_url()).await;
    let name = declare(&*session, "fits", "classic").await;
    let queue = |kind: &str| {
        let arguments = BTreeMap::from([("x-queue-type".to_owned(), Argument::Text(kind.to_owned()))]);
        Declaration::Queue(QueueDeclaration {
            name: name.clone(),
            arguments,
        })
    };

    // When the same is declared with another type
    let (index, error) = session
        .declare(&[queue("classic"), queue("quorum")])
        .await
        .expect_err("a mismatch");

    // Then
    assert_eq!((index, error.kind()), (1, BrokerErrorKind::Mismatch), "{error}");
    assert!(error.to_string().contains("x-queue-type"), "{error}");
    assert_eq!(*session.health().borrow(), Health::Open);
}

#[tokio::test]
async fn exchanges_route_as_they_were_declared() {
    // Given a queue bound to an exchange
    let session = session(&shared().await.amqp_url()).await;
    let queue = declare(&*session, "bound", "classic").await;
    let exchange = leveret::broker::Exchange {
        name: format!("{queue}.exchange"),
        kind: ExchangeKind::Topic,
        arguments: BTreeMap::new(),
    };
    let binding = leveret::broker::Binding {
        queue: queue.clone(),
        exchange: exchange.name.clone(),
        routing_key: "*.1".into(),
    };
    assert_eq!(
        session
            .inspect_exchange(&exchange.name)
            .await
            .expect_err("not yet")
            .kind(),
        BrokerErrorKind::NotFound
    );
    session
        .declare(&[Declaration::Exchange(exchange.clone()), Declaration::Binding(binding)])
        .await
        .expect("declared");
    session.inspect_exchange(&exchange.name).await.expect("it is there");

    // When one message matches the binding and one does not
    let mut publisher = session.publisher().await.expect("a publisher");
    let to = |key: &str| Destination {
        exchange: exchange.name.clone(),
        routing_key: key.into(),
    };
    publisher.publish(1, &to("a.1"), &message("matching")).expect("sent");
    publisher.publish(2, &to("a.2"), &message("other")).expect("sent");

    // Then the other comes back, with whichever answer
    let mut returned = Vec::new();
    for _ in 0..2 {
        match answer(&mut publisher).await {
            Answer::Settled {
                acked: true,
                returned: Some(id),
                ..
            } => returned.push(id),
            Answer::Settled { acked: true, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(returned, ["other"]);
    assert_eq!(session.inspect(&queue).await.expect("a depth").ready, 1);
}
