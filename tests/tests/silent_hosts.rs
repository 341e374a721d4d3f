//! Hosts that take a connection and say nothing more, at any step: each costs the connect deadline and leaves no thread. Apart from
//! the other suites: it counts the threads of its process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use leveret::broker::{BrokerErrorKind, rabbit_broker};
use leveret::{ConnectOptions, Rabbit};
use leveret_tests::signal::{eventually, soon};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

const DEADLINE: Duration = Duration::from_millis(500);

/// Up to where the host does its part.
#[derive(Debug, Clone, Copy)]
enum Silent {
    AfterTcp,
    AfterTls,
}

/// A host with a self-signed certificate, and that certificate.
async fn host(silent: Silent) -> (u16, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(say_nothing(stream, acceptor.clone(), silent));
        }
    });
    (port, cert.pem())
}

/// Holds the connection until the other side ends it.
async fn say_nothing(mut stream: TcpStream, acceptor: TlsAcceptor, silent: Silent) {
    let mut heard = Vec::new();
    // How it ends is the client's business.
    let _ = match silent {
        Silent::AfterTcp => stream.read_to_end(&mut heard).await,
        Silent::AfterTls => {
            acceptor
                .accept(stream)
                .await
                .expect("TLS")
                .read_to_end(&mut heard)
                .await
        }
    };
}

/// The threads that the client library has, one for each connection.
fn client_threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task")
        .expect("Linux")
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("lapin")).count()
}

#[tokio::test]
async fn a_silent_host_costs_the_connect_deadline_and_leaves_no_thread() {
    for (scheme, silent) in [
        ("amqp", Silent::AfterTcp),
        ("amqps", Silent::AfterTcp),
        ("amqps", Silent::AfterTls),
    ] {
        // Given a host that falls silent
        let (port, certificate) = host(silent).await;
        let url = format!("{scheme}://localhost:{port}");
        let options: ConnectOptions = url.parse().expect("a URL");
        let options = match scheme {
            "amqps" => options.ca_pem(certificate),
            _ => options,
        };
        let options = options.connect_deadline(DEADLINE);

        // When it is connected to
        let broker = rabbit_broker(&options).expect("a broker");
        let error = soon("the deadline", broker.connect("x")).await.expect_err("silence");

        // Then it is given up with its thread, while the thread of all connections goes on
        assert_eq!(error.kind(), BrokerErrorKind::Timeout, "{scheme} {silent:?}: {error}");
        eventually("no thread is left", async || client_threads() == 0).await;
        drop(broker);

        // And whoever waits for a first connection is told after the time he gave
        let late = Rabbit::connect(options.startup_deadline(3 * DEADLINE)).await;
        let text = late.expect_err("silence").to_string();
        // What the last try had come to when the time was over is no matter.
        assert!(
            text.contains("no connection within 1.5s") && text.contains(&format!("localhost:{port}")),
            "{scheme} {silent:?}: {text}"
        );
        eventually("no thread is left", async || client_threads() == 0).await;
    }
}
