//! Certificates that expire while programs run.

use leveret::runtime::LinkState;
use leveret::{JobId, Queue};

use super::*;
use crate::node::{NAMES, SecureNode};

#[tokio::test]
async fn an_expired_certificate_is_refused_and_a_renewed_one_heals_the_connection() {
    // Given a producer, and a broker whose certificate expires
    let node = SecureNode::start(&["ssl_options.verify = verify_none"]).await;
    let rabbit = connect(node.options()).await.expect("trusted");
    let producer = rabbit.producer();
    let queue = Queue::named(format!("renewal-{}", JobId::random())).expect("short enough");
    producer
        .enqueue(Note { number: 1 })
        .queue(&queue)
        .await
        .expect("stored");
    node.present(&node.ca.sign_expired(&NAMES)).await;

    // When the connection is lost
    node.node.close_all_connections().await;

    // Then it stays down and says why, and so is told who comes anew
    let mut state = rabbit.publishing().state();
    let expired = state.wait_for(|state| {
        matches!(state, LinkState::Down { last_error: Some(error), .. } if error.to_string().contains("expired"))
    });
    soon("the reason", expired).await.expect("the link lives");
    let text = refusal(node.options()).await;
    assert!(
        text.contains("the broker's certificate") && text.contains("days ago"),
        "{text}"
    );

    // And with a renewed certificate it goes on by itself
    node.present(&node.ca.sign(&NAMES)).await;
    let enqueued = producer.enqueue(Note { number: 2 }).queue(&queue);
    soon("a confirm", enqueued.into_future()).await.expect("stored");
    rabbit.close().await;
}
