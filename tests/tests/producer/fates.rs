//! The three fates, by deadline, by limit and by poison.

use leveret::{Fate, Why};
use leveret_tests::secret::PASSWORD;
use leveret_tests::{Node, Proxy, shared};

use super::*;

#[tokio::test]
async fn what_cannot_be_sent_in_time_is_reported_as_not_sent() {
    // Given a broker that has become unreachable
    let proxy = Proxy::start(shared().await.address()).await;
    let producer = connect(&proxy.amqp_url()).await;
    let queue = own_queue("unreachable");
    make(&producer, &queue).await;
    proxy.refuse().await;
    proxy.cut().await;
    wait_until_down(&producer).await;

    // When
    let error = producer
        .enqueue(Note::new(1))
        .queue(&queue)
        .confirm_timeout(SOON)
        .await
        .expect_err("no broker");

    // Then it is not sent later either
    assert_eq!(error.fate(), Fate::NotSent, "{error}");
    proxy.accept().await;
    producer.enqueue(Note::new(2)).queue(&queue).await.expect("confirmed");
    assert_eq!(numbers_in(producer.rabbit(), &queue).await, [2]);
}

#[tokio::test]
async fn what_was_sent_but_not_answered_is_unknown_and_can_be_tried_again_under_its_id() {
    // Given a broker whose answers do not come through
    let proxy = Proxy::start(shared().await.address()).await;
    let producer = connect(&proxy.amqp_url()).await;
    let queue = own_queue("silent");
    make(&producer, &queue).await;
    proxy.stall_to_client();

    // When
    let error = producer
        .enqueue(Note::new(1))
        .queue(&queue)
        .confirm_timeout(SOON)
        .await
        .expect_err("no answer");

    // Then
    assert_eq!(error.fate(), Fate::Unknown, "{error}");
    let id = error.id().expect("it was sent").clone();
    proxy.heal();
    producer
        .enqueue(Note::new(1))
        .queue(&queue)
        .id(id.clone())
        .await
        .expect("confirmed");
    let messages = leveret_tests::taker::take_all(producer.rabbit(), queue.name()).await;
    assert_eq!(messages.len(), 2);
    assert!(
        messages
            .iter()
            .all(|message| message.properties.message_id.as_deref() == Some(id.as_str()))
    );
}

#[tokio::test]
async fn a_full_ledger_gives_the_job_back_or_makes_the_caller_wait() {
    // Given a ledger with room for two, and no broker
    let proxy = Proxy::start(shared().await.address()).await;
    let producer = Producer::connect(options(&proxy.amqp_url()).ledger_jobs(2))
        .await
        .expect("connected");
    proxy.refuse().await;
    proxy.cut().await;
    wait_until_down(&producer).await;
    let first = producer.try_enqueue(Note::new(1)).expect("room");
    let second = producer.try_enqueue(Note::new(2)).expect("room");

    // When a third comes
    let full = producer.try_enqueue(Note::new(3)).expect_err("no room");
    let waiting = producer
        .enqueue(Note::new(4))
        .confirm_timeout(SOON)
        .await
        .expect_err("no room in time");

    // Then it is given back, or its wait ends; and with the broker there is room again
    assert_eq!((full.job.number, full.error.is_ledger_full()), (3, true), "{full}");
    assert_eq!(waiting.fate(), Fate::NotSent);
    proxy.accept().await;
    first.await.expect("confirmed");
    second.await.expect("confirmed");
    producer.enqueue(Note::new(5)).await.expect("confirmed");
}

#[tokio::test]
async fn a_job_that_kills_its_channel_is_refused_and_the_others_get_through() {
    // Given a broker that closes the channel over a body of more than 100,000 bytes
    let node = Node::start_with(&["max_message_size = 100000"]).await;
    let producer = connect(&node.amqp_url()).await;
    let queue = own_queue("poison");

    // When such a body is on the wire among 400 others
    let mut pending = Vec::new();
    for number in 0..400 {
        let text = if number == 200 {
            "x".repeat(150_000)
        } else {
            "hello".to_owned()
        };
        let enqueue = producer.enqueue(Note { number, text }).queue(&queue);
        pending.push(enqueue.submit().await.expect("accepted"));
    }

    // Then it alone is refused, for what the broker says of it
    for (number, pending) in pending.into_iter().enumerate() {
        match (number, pending.await) {
            (200, Err(error)) => {
                assert!(matches!(error.fate(), Fate::Refused(Why::ClosesChannel(_))), "{error}");
                assert!(error.to_string().contains("larger than configured max size"), "{error}");
            }
            (_, result) => drop(result.expect("confirmed")),
        }
    }
    let mut there = numbers_in(producer.rabbit(), &queue).await;
    there.sort_unstable();
    there.dedup();
    assert_eq!(there, (0..400).filter(|number| *number != 200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_before_anything_is_sent() {
    // Given
    let producer = connect(&shared().await.amqp_url()).await;

    // When
    let note = Note {
        number: 1,
        text: "x".repeat(17 * 1024 * 1024),
    };
    let error = producer
        .enqueue(note)
        .queue(&own_queue("large"))
        .await
        .expect_err("too large");

    // Then
    assert!(matches!(error.fate(), Fate::Refused(Why::Unsendable(_))), "{error}");
    assert!(error.to_string().contains("store the payload elsewhere"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_reported_at_once_and_does_not_show() {
    // Given
    let url = shared().await.amqp_url().replace(PASSWORD, "hunter2-secret");

    // When
    let error = Producer::connect(options(&url)).await.expect_err("refused");

    // Then
    assert!(error.is_refused(), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2-secret"), "{error:?}");
}

async fn wait_until_down(producer: &Producer) {
    let mut state = producer.rabbit().publishing().state();
    let down = state.wait_for(|state| state.session().is_none());
    leveret_tests::signal::soon("the loss is noticed", down)
        .await
        .expect("the link lives");
}
