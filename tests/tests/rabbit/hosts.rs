//! Where to: several hosts, IPv6, virtual hosts and logins of every spelling.

use leveret::{ConnectOptions, Rabbit};
use leveret_tests::secret::LOGIN;
use leveret_tests::{Node, shared};
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[tokio::test]
async fn a_host_that_accepts_and_stays_silent_is_passed_over_after_its_deadline() {
    // Given a silent host beside the broker
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = silent.local_addr().expect("bound").port();
    let url = format!("amqp://{LOGIN}@127.0.0.1:{silent},127.0.0.1:{}", shared().await.port());
    let broker = broker(&options(&url).connect_deadline(SHORT));

    // When as often as it takes to begin with either
    for _ in 0..6 {
        let session = soon("a session", broker.connect("hosts")).await.expect("connected");
        session.close().await;
    }
}

#[tokio::test]
async fn an_ipv6_address_is_connected_to() {
    // Given the broker behind an IPv6 address
    let listener = TcpListener::bind("[::1]:0").await.expect("IPv6");
    let url = format!("amqp://{LOGIN}@[::1]:{}", listener.local_addr().expect("bound").port());
    let broker_address = shared().await.address();
    let forward = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await?;
        let mut broker = TcpStream::connect(broker_address).await?;
        tokio::io::copy_bidirectional(&mut client, &mut broker).await
    });

    // When
    let session = session(&url).await;

    // Then
    session.close().await;
    let _ = soon("the end of the connection", forward).await.expect("no panic");
}

#[tokio::test]
async fn a_virtual_host_and_a_login_of_any_spelling_are_reached_by_a_url() {
    // Given a user and virtual hosts with all that has a meaning in URLs
    const USER: &str = "us:er@shop/é";
    const PASSWORD: &str = "p@:/#?%&=+[] ü%41";
    let node = Node::start().await;
    let ctl = async |arguments: &[&str]| {
        node.ctl(arguments).await.expect("done");
    };
    ctl(&["add_user", USER, PASSWORD]).await;
    for vhost in ["eu shop", "eu/shop", "%2f", "häuser ✓ #?&=@:"] {
        ctl(&["add_vhost", vhost]).await;
        ctl(&["set_permissions", "-p", vhost, USER, ".*", ".*", ".*"]).await;

        // When it is named by a URL
        let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let login = format!("{}:{}", encoded(USER), encoded(PASSWORD));
        let url = format!("amqp://{login}@127.0.0.1:{}/{}", node.port(), encoded(vhost));
        let session = session(&url).await;
        let queue = declare(&*session, "odd", "classic").await;

        // Then it is the one that was meant
        let listed = node.ctl(&["list_queues", "-p", vhost, "--quiet", "name"]).await;
        assert!(listed.expect("a list").contains(&queue), "{vhost}");
        session.close().await;
    }
}

#[tokio::test]
async fn who_connects_is_told_at_once_what_a_virtual_host_refuses() {
    // Given a user who may log in and is let into no virtual host
    let node = shared().await;
    node.ctl(&["add_user", "homeless", "s3cret"]).await.expect("added");

    for (vhost, login) in [("%2f", "homeless:s3cret"), ("nowhere", LOGIN)] {
        let url = format!("amqp://{login}@127.0.0.1:{}/{vhost}", node.port());
        let options: ConnectOptions = url.parse().expect("a URL");
        let error = soon("a refusal", Rabbit::connect(options)).await.expect_err("refused");

        let text = error.to_string();
        assert!(error.is_refused(), "{text}");
        let (user, vhost) = (login.split_once(':').expect("a login").0, vhost.replace("%2f", "/"));
        let expected = format!("user `{user}` is not let into vhost `{vhost}`");
        assert!(text.contains(&expected) && !text.contains("s3cret"), "{text}");
    }
}
