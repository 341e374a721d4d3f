//! Addresses of which only one leads to the broker.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use leveret_tests::ports::PortClaim;
use leveret_tests::{Node, Proxy};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::Way;

const NAME: &str = "broker.test";
/// Another address of this machine: the first one has to be free for what is dead.
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// A mount namespace in which names mean what a file says.
const WITH_NAMES: &str = r#"mount --bind "$0" /etc/hosts && exec "$@""#;

/// A list of two hosts of which the first is dead.
pub(super) async fn dead_host() -> Way {
    let node = Node::start().await;
    let (dead, proxy) = (PortClaim::take(), Proxy::start(node.address()).await);
    let way = Way {
        url: format!("amqp://guest:guest@127.0.0.1:{},{}", dead.number(), proxy.address()),
        node: Some(node),
        proxy: Some(proxy),
        ..Way::default()
    };
    way.keep(dead)
}

/// A name that is an address where nobody listens, one that answers nothing at all, and a good one. It means that to the programs alone.
pub(super) async fn dead_addresses() -> Way {
    let node = Node::start().await;
    let proxy = Proxy::start_at(SECOND, node.address()).await;
    let hole = Hole::dig(SocketAddr::from((Ipv4Addr::LOCALHOST, proxy.address().port()))).await;
    let names = std::env::temp_dir().join(format!("leveret-chaos-hosts-{}", proxy.address().port()));
    let text = format!("127.0.0.1 localhost\n::1 {NAME}\n127.0.0.1 {NAME}\n{SECOND} {NAME}\n");
    std::fs::write(&names, text).expect("a directory for temporary files");
    let launcher = ["unshare", "--mount", "sh", "-c", WITH_NAMES];
    let launcher = launcher
        .map(str::to_owned)
        .into_iter()
        .chain([names.display().to_string()]);
    let way = Way {
        url: format!("amqp://guest:guest@{NAME}:{}", proxy.address().port()),
        node: Some(node),
        proxy: Some(proxy),
        launcher: launcher.collect(),
        ..Way::default()
    };
    way.keep(hole).keep(Remove(names))
}

/// A list of two hosts, one of which accepts and never says a word of the TLS that it is asked for.
pub(super) async fn silent_tls() -> Way {
    let (port, own) = (
        PortClaim::take(),
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]),
    );
    let own = own.expect("a certificate");
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let listener = format!("listeners.ssl.default = 127.0.0.1:{}", port.number());
    let settings = [
        listener.as_str(),
        "ssl_options.cacertfile = {home}/server.pem",
        "ssl_options.certfile = {home}/server.pem",
        "ssl_options.keyfile = {home}/server.key",
        "ssl_options.verify = verify_none",
    ];
    let node = Node::start_with_files(&settings, &[("server.pem", &certificate), ("server.key", &key)]).await;
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()))).await;
    let silent = Proxy::start(node.address()).await;
    silent.silent();
    let hosts = [&silent, &proxy].map(|proxy| format!("localhost:{}", proxy.address().port()));
    let way = Way {
        url: format!("amqps://guest:guest@{}", hosts.join(",")),
        query: format!("&cacertfile={}", node.file("server.pem").display()),
        node: Some(node),
        proxy: Some(proxy),
        ..Way::default()
    };
    way.keep((port, silent))
}

/// An address that answers no SYN: nobody accepts, and there is no room for one more connection.
struct Hole {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Hole {
    async fn dig(address: SocketAddr) -> Hole {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(address).expect("the claimed port");
        let listener = socket.listen(1).expect("it listens");
        let mut waiting = Vec::new();
        while let Ok(connected) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
            waiting.push(connected.expect("there is room"));
        }
        Hole {
            _listener: listener,
            _waiting: waiting,
        }
    }
}

/// A file that goes when this does.
struct Remove(std::path::PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}
