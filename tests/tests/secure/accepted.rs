//! Who is trusted.

use leveret::{JobId, Queue};
use leveret_tests::secret::LOGIN;
use leveret_tests::signal::{Counter, soon};
use leveret_worker::{State, Worker};

use super::*;
use crate::node::{options, shared};

#[tokio::test]
async fn a_job_travels_encrypted_from_its_producer_to_its_worker() {
    // Given connections that trust the CA of the broker alone
    let node = shared().await;
    let name = format!("encrypted {}", JobId::random());
    let rabbit = connect(node.options().connection_name(&name)).await.expect("trusted");
    let queue = Queue::named(format!("secure-{}", JobId::random())).expect("short enough");

    // When a job is enqueued and run
    let ran = Counter::new("runs");
    let handler = async |_: Note, State(ran): State<Counter>| {
        ran.add();
    };
    let worker = Worker::builder(&rabbit)
        .route::<Note>(queue.clone())
        .state(ran.clone())
        .register(handler)
        .build()
        .expect("well put together");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run_until(std::future::pending::<()>()));
    let enqueued = rabbit.producer().enqueue(Note { number: 7 }).queue(&queue);
    soon("a confirm", enqueued.into_future()).await.expect("stored");
    ran.wait_for(1).await;

    // Then it has travelled over connections that the broker knows to be encrypted
    let listed = node
        .node
        .ctl(&["list_connections", "--quiet", "ssl", "client_properties"])
        .await
        .expect("a list");
    let ours: Vec<_> = listed.lines().filter(|line| line.contains(&name)).collect();
    assert!(
        ours.len() == 2 && ours.iter().all(|line| line.starts_with("true")),
        "{listed}"
    );
    handle.shutdown();
    let report = soon("the end", running).await.expect("no panic").expect("it ran");
    assert!(report.is_clean(), "{report}");
    rabbit.close().await;
}

#[tokio::test]
async fn a_ca_can_be_given_as_text_and_a_name_for_an_address_that_the_certificate_lacks() {
    let node = shared().await;
    let by_address = options(&format!("amqps://{LOGIN}@127.0.0.1:{}", node.port()));

    let rabbit = connect(by_address.ca_pem(node.ca.pem()).server_name("rabbit.internal")).await;

    rabbit.expect("trusted").close().await;
}

#[tokio::test]
async fn a_host_whose_certificate_is_refused_is_passed_over_for_one_whose_is_not() {
    // Given the same broker under a name that its certificate does not have, and under one that it has
    let node = shared().await;
    let url = format!("amqps://{LOGIN}@127.0.0.1:{0},localhost:{0}", node.port());

    // When as often as it takes to begin with either
    for _ in 0..8 {
        let rabbit = connect(options(&url).ca_pem(node.ca.pem())).await;
        rabbit.expect("by the second").close().await;
    }
}

#[tokio::test]
async fn an_ipv6_address_is_verified_like_a_name() {
    // Given the broker behind an IPv6 address that its certificate has
    let node = shared().await;
    let listener = tokio::net::TcpListener::bind("[::1]:0").await.expect("IPv6");
    let url = format!("amqps://{LOGIN}@[::1]:{}", listener.local_addr().expect("bound").port());
    let port = node.port();
    let forward = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await?;
        let mut broker = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        tokio::io::copy_bidirectional(&mut client, &mut broker).await
    });

    // When
    let rabbit = connect(options(&url).ca_pem(node.ca.pem())).await.expect("trusted");

    // Then
    rabbit.close().await;
    let _ = soon("the end of the connection", forward).await.expect("no panic");
}
