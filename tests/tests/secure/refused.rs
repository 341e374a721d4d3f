//! Who is not trusted, and what is said about it.

use super::*;
use crate::certificates::Authority;
use crate::node::{options, shared};

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let node = shared().await;
    let other = options(&node.url()).ca_pem(Authority::new("another CA").pem());
    let text = refusal(other).await;
    assert!(
        text.contains(&format!("cannot connect to localhost:{}: ", node.port())) && text.contains("LEVERET_CA_FILE"),
        "{text}"
    );

    // Nor does this system know that CA.
    let text = refusal(options(&node.url())).await;
    assert!(text.contains("LEVERET_CA_FILE"), "{text}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let node = shared().await;
    let by_address = options(&format!("amqps://127.0.0.1:{}", node.port())).ca_pem(node.ca.pem());
    let by_name = node.options().server_name("rabbit.example");

    for (options, expected) in [
        (by_address, "not for `127.0.0.1`"),
        (by_name, "not for `rabbit.example`"),
    ] {
        let text = refusal(options).await;
        assert!(
            text.contains(expected) && text.contains("`localhost`, `rabbit.internal`"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_plain_listener_is_not_talked_to_by_an_encrypted_url() {
    let node = shared().await;
    let plain = options(&format!("amqps://localhost:{}", node.node.port())).ca_pem(node.ca.pem());

    let text = refusal(plain).await;

    assert!(text.contains("does not speak TLS"), "{text}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_before_anything_is_connected() {
    let node = shared().await;
    let (one, two) = (node.ca.sign(&["one"]), node.ca.sign(&["two"]));
    let options = node.options();
    let server_pem = node.node.file("server.pem");
    for (options, expected) in [
        (
            options.clone().ca_file("/no/such/ca.pem"),
            "cannot read /no/such/ca.pem",
        ),
        (
            options.clone().ca_file(node.node.file("server.key")),
            "server.key holds no certificate",
        ),
        (
            options.clone().client_certificate_files(&server_pem, &server_pem),
            "server.pem holds no key",
        ),
        (
            options.client_certificate_pem(&one.chain, &two.key),
            "do not belong together",
        ),
    ] {
        // Nothing waits for a connection: the mistake is known without one.
        let error = Rabbit::start(options).expect_err("unusable");
        let text = error.to_string();
        assert!(error.is_refused() && text.contains(expected), "{text}");
        assert!(!text.contains("PRIVATE KEY-----\n") && !format!("{error:?}").contains(&two.key));
    }
}

#[tokio::test]
async fn an_encrypted_listener_is_not_understood_by_a_plain_url_which_says_so() {
    let node = shared().await;
    let plain = options(&format!("amqp://localhost:{}", node.port()));

    let broker = leveret::broker::rabbit_broker(&plain).expect("a broker");
    let error = soon("an error", broker.connect("plain")).await.expect_err("no AMQP");

    assert!(error.to_string().contains("amqps://"), "{error}");
}
