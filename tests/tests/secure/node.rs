//! A RabbitMQ with a TLS listener, and the CA that signed its certificate.

use leveret::ConnectOptions;
use leveret_tests::Node;
use leveret_tests::ports::PortClaim;
use leveret_tests::secret::LOGIN;
use tokio::sync::OnceCell;

use crate::certificates::{Authority, Signed};

/// The names in the node's certificate. Its address, 127.0.0.1, is not among them.
pub(crate) const NAMES: [&str; 3] = ["localhost", "rabbit.internal", "::1"];

pub(crate) struct SecureNode {
    pub(crate) node: Node,
    pub(crate) ca: Authority,
    port: PortClaim,
}

/// The node of the tests that own nothing but their queues. It demands no client certificate.
pub(crate) async fn shared() -> &'static SecureNode {
    static SHARED: OnceCell<SecureNode> = OnceCell::const_new();
    SHARED
        .get_or_init(|| SecureNode::start(&["ssl_options.verify = verify_none"]))
        .await
}

impl SecureNode {
    /// A node whose TLS listener has these settings besides its certificate.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let (ca, port) = (Authority::new("broker CA"), PortClaim::take());
        let server = ca.sign(&NAMES);
        let listener = format!("listeners.ssl.default = 127.0.0.1:{}", port.number());
        let own = [
            listener.as_str(),
            "ssl_options.cacertfile = {home}/ca.pem",
            "ssl_options.certfile = {home}/server.pem",
            "ssl_options.keyfile = {home}/server.key",
        ];
        let files = [
            ("ca.pem", ca.pem()),
            ("server.pem", server.chain),
            ("server.key", server.key),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let node = Node::start_with_files(&[&own, settings].concat(), &files).await;
        Self { node, ca, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    /// A URL by a name that is in the certificate.
    pub(crate) fn url(&self) -> String {
        format!("amqps://{LOGIN}@localhost:{}", self.port())
    }

    /// Options by a name that is in the certificate, with the CA that signed it.
    pub(crate) fn options(&self) -> ConnectOptions {
        options(&self.url()).ca_file(self.node.file("ca.pem"))
    }

    /// Gives the running node another certificate, for the next connections.
    pub(crate) async fn present(&self, server: &Signed) {
        self.node.replace_file("server.pem", &server.chain);
        self.node.replace_file("server.key", &server.key);
        // Otherwise it looks at the files every two minutes.
        self.node
            .ctl(&["eval", "ssl:clear_pem_cache()."])
            .await
            .expect("cleared");
    }
}

pub(crate) fn options(url: &str) -> ConnectOptions {
    url.parse().expect("a URL")
}
