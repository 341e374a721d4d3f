//! A broker that demands client certificates.

use super::*;
use crate::certificates::Authority;
use crate::node::SecureNode;

const DEMANDING: [&str; 2] = [
    "ssl_options.verify = verify_peer",
    "ssl_options.fail_if_no_peer_cert = true",
];

/// With one version of TLS: what each side says when differs between the two.
async fn demands_a_certificate(version: &str) {
    // Given a broker that lets in who has a certificate of its CA
    let only = format!("ssl_options.versions.1 = {version}");
    let node = SecureNode::start(&[&DEMANDING[..], &[only.as_str()]].concat()).await;
    let client = node.ca.sign(&["client"]);
    let stranger = Authority::new("another CA").sign(&["stranger"]);
    let expired = node.ca.sign_expired(&["expired"]);

    // When one comes with such a certificate, one with none, and two with others
    let with = |signed: &certificates::Signed| node.options().client_certificate_pem(&signed.chain, &signed.key);
    let rabbit = connect(with(&client)).await.expect("let in");
    let none = refusal(node.options()).await;
    let others = [refusal(with(&stranger)).await, refusal(with(&expired)).await];

    // Then the others are told what it was about
    assert!(none.contains("LEVERET_CLIENT_CERT_FILE"), "{none}");
    for text in others {
        assert!(text.contains("the broker refuses the client certificate"), "{text}");
    }
    rabbit.close().await;
}

#[tokio::test]
async fn a_client_certificate_lets_in_and_is_demanded_with_tls_1_3() {
    demands_a_certificate("tlsv1.3").await;
}

#[tokio::test]
async fn a_client_certificate_lets_in_and_is_demanded_with_tls_1_2() {
    demands_a_certificate("tlsv1.2").await;
}
