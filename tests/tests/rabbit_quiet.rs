//! Nothing of a job and nothing of a login gets into anyone's logs. Apart from the other suites: it listens to every log line
//! of its process.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::poll_fn;
use std::io::Write;
use std::sync::{Arc, Mutex};

use leveret::broker::{Answer, Destination, rabbit_broker};
use leveret::{ConnectOptions, Message};
use leveret_tests::Node;
use leveret_tests::signal::soon;
use tracing_subscriber::filter::LevelFilter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_of_any_level_holds_a_body_or_a_password() {
    // Given a subscriber that lets everything through, and a user with a password of his own
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let node = Node::start().await;
    node.ctl(&["add_user", "app", "hunter-2"]).await.unwrap();
    node.ctl(&["set_permissions", "app", ".*", ".*", ".*"]).await.unwrap();
    let options: ConnectOptions = node.amqp_url().parse().unwrap();
    let options = options.credentials("app", "hunter-2");
    let session = rabbit_broker(&options).unwrap().connect("quiet").await.unwrap();
    let mut publisher = session.publisher().await.unwrap();
    let mut message = Message {
        body: "card 4711".into(),
        ..Message::default()
    };
    message.properties.message_id = Some("a".into());

    // When a message comes back, and another is given to a connection that is gone
    let nowhere = Destination::queue("no such queue");
    publisher.publish(1, &nowhere, &message).unwrap();
    let answer = soon("a return", poll_fn(|cx| publisher.poll_answer(cx))).await;
    assert_eq!(
        answer,
        Answer::Settled {
            tag: 1,
            acked: true,
            returned: Some("a".into())
        }
    );
    node.kill().await;
    soon(
        "the end",
        poll_fn(|cx| match publisher.poll_answer(cx) {
            std::task::Poll::Ready(Answer::Lost(_)) => std::task::Poll::Ready(()),
            _ => {
                publisher.publish(2, &nowhere, &message).unwrap();
                std::task::Poll::Pending
            }
        }),
    )
    .await;
    publisher.publish(3, &nowhere, &message).unwrap();

    // Then the subscriber has heard something, but nothing of that; bytes are logged as a list of numbers
    let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        lines.contains("TRACE"),
        "the subscriber heard nothing, so this test shows nothing"
    );
    for secret in ["card 4711", "hunter-2"] {
        let numbers = secret
            .bytes()
            .map(|byte| byte.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        assert!(
            !lines.contains(secret) && !lines.contains(&numbers),
            "{secret:?} was logged"
        );
    }
}
