//! Queues that are there, but not as the program wants them.

use leveret::{Fate, TopologyMode};
use leveret_tests::shared;

use super::*;

#[tokio::test]
async fn a_mismatch_is_explained_by_queue_setting_both_values_and_remedy() {
    let node = shared().await;
    let name = own_queue("mismatch").name().to_owned();
    let made = Queue::named(name.clone()).unwrap();
    let owner = connect(node, "", TopologyMode::Declare).await;
    owner.declare(&made).await.expect("declared");

    for (other, setting, there, wanted, remedy) in [
        (
            made.clone().delivery_limit(7),
            "`x-delivery-limit`",
            "is 100 there",
            "7 was wanted",
            "delivery_limit",
        ),
        (
            made.clone().classic(),
            // The first difference that RabbitMQ meets; only quorum queues have it.
            "`x-dead-letter-strategy`",
            "is at-least-once there",
            "none was wanted",
            "classic()",
        ),
        (
            made.clone().max_length(9),
            "`x-max-length`",
            "is none there",
            "9 was wanted",
            "max_length",
        ),
    ] {
        for mode in [TopologyMode::Declare, TopologyMode::Verify] {
            // Given a program that wants the queue otherwise
            let rabbit = connect(node, "", mode).await;

            // When it produces and works
            let refused = rabbit.producer().enqueue(Note { number: 0 }).queue(&other).await;
            let not_started = refused_start(&rabbit, &other).await;

            // Then both end, and say which queue and setting, what is there, what was wanted and what to do
            let refused = refused.expect_err("the queue is another");
            assert!(matches!(refused.fate(), Fate::Refused(_)), "{refused:?}");
            let parts = [&*name, setting, there, wanted, remedy, "Leveret never deletes"];
            for text in [refused.to_string(), not_started.to_string()] {
                for part in parts {
                    assert!(text.contains(part), "{mode:?}: {part:?} in {text:?}");
                }
            }
        }
    }
    assert_eq!(node.depth(&name).await.map(|depth| depth.messages), Some(0));
}
