//! The demo, played with processes: the same steps that its README takes with containers.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use leveret_tests::Node;
use leveret_tests::ports::PortClaim;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_demo_plays_to_its_end() {
    // Given a RabbitMQ of its own
    let node = Node::start().await;
    let port = PortClaim::take();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo/play.sh");

    // When the script plays the demo
    let mut command = Command::new(script);
    command
        .env("AMQP_URL", node.amqp_url())
        .env("LISTEN", format!("127.0.0.1:{}", port.number()));
    let played = tokio::task::spawn_blocking(move || command.output()).await.unwrap();

    // Then every step of it is seen to work
    let played = played.expect("bash is there");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&played.stdout),
        String::from_utf8_lossy(&played.stderr)
    );
    assert!(played.status.success() && text.contains("the demo works"), "{text}");
}
