//! `Ok` means routed, stored and confirmed; everything else is told apart, message by message.

use std::collections::BTreeSet;

use leveret::{Fate, TopologyMode, Why};
use leveret_tests::{shared, taker};

use super::*;

#[tokio::test]
async fn an_enqueued_job_lies_in_its_queue_when_the_call_returns() {
    // Given
    let producer = connect(&shared().await.amqp_url()).await;
    let queue = own_queue("simple");

    // When
    let id = producer
        .enqueue(Note::new(7))
        .queue(&queue)
        .id("note-7")
        .await
        .expect("confirmed");

    // Then
    let messages = taker::take_all(producer.rabbit(), queue.name()).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].properties.message_id.as_deref(), Some("note-7"));
    assert_eq!(
        (id.as_str(), &messages[0].body[..]),
        ("note-7", &br#"{"number":7,"text":"hello"}"#[..])
    );
}

#[tokio::test]
async fn thousands_of_pipelined_jobs_get_each_its_own_verdict() {
    // Given one queue that takes all, one that is full after ten, and none for the rest; nothing is declared on the way
    let url = shared().await.amqp_url();
    let (open, full, missing) = (
        own_queue("open"),
        own_queue("full").max_length(10),
        own_queue("missing"),
    );
    let declaring = connect(&url).await;
    make(&declaring, &open).await;
    make(&declaring, &full).await;
    let producer = Producer::connect(options(&url).topology(TopologyMode::None))
        .await
        .expect("connected");

    // When 12,000 jobs for the three are on the wire together, in a mixed order
    let queue_of = |number: usize| match number % 7 {
        0 | 3 => &missing,
        5 => &full,
        _ => &open,
    };
    let mut pending = Vec::new();
    for number in 0..12_000 {
        let enqueue = producer.enqueue(Note::new(number)).queue(queue_of(number));
        pending.push((number, enqueue.submit().await.expect("accepted")));
    }
    let (mut stored, mut full_ok, mut full_refused) = (Vec::new(), BTreeSet::new(), 0);
    for (number, pending) in pending {
        let result = pending.await;
        match (number % 7, result) {
            (0 | 3, Err(error)) => assert_eq!(error.fate(), Fate::Refused(Why::Unroutable), "{number}"),
            (5, Ok(_)) => assert!(full_ok.insert(number)),
            (5, Err(error)) => {
                assert_eq!(error.fate(), Fate::Refused(Why::Nacked), "{number}");
                full_refused += 1;
            }
            (1 | 2 | 4 | 6, Ok(_)) => stored.push(number),
            (_, result) => panic!("{number}: {result:?}"),
        }
    }

    // Then each verdict is true, to the message, and in order
    assert_eq!(numbers_in(producer.rabbit(), &open).await, stored);
    assert!(full_refused > 1_600, "{full_refused}");
    assert_eq!(
        numbers_in(producer.rabbit(), &full).await,
        full_ok.into_iter().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn enqueue_all_gives_one_result_per_job_and_keeps_their_order() {
    // Given
    let producer = connect(&shared().await.amqp_url()).await;
    let queue = own_queue("all");
    let envelopes = (0..3_000).map(|number| leveret::Envelope::new(Note::new(number)).expect("JSON"));

    // When
    let envelopes = envelopes.map(|envelope| envelope.with_queue(queue.clone()));
    let results = producer.enqueue_envelopes(envelopes).await;

    // Then
    assert!(results.len() == 3_000 && results.iter().all(Result::is_ok));
    assert_eq!(
        numbers_in(producer.rabbit(), &queue).await,
        (0..3_000).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_queue_deleted_under_the_producer_is_declared_again_and_nothing_is_refused() {
    // Given
    let producer = connect(&shared().await.amqp_url()).await;
    let queue = own_queue("deleted");
    make(&producer, &queue).await;

    // When
    shared()
        .await
        .ctl(&["delete_queue", queue.name()])
        .await
        .expect("deleted");
    let mut pending = Vec::new();
    for number in 0..500 {
        pending.push(
            producer
                .enqueue(Note::new(number))
                .queue(&queue)
                .submit()
                .await
                .expect("accepted"),
        );
    }
    for pending in pending {
        pending.await.expect("declared again, sent again, confirmed");
    }

    // Then every job is there, in order
    assert_eq!(
        numbers_in(producer.rabbit(), &queue).await,
        (0..500).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn another_definition_of_a_queue_is_refused_with_an_explanation() {
    // Given
    let producer = connect(&shared().await.amqp_url()).await;
    let queue = own_queue("defined");
    make(&producer, &queue).await;

    // When
    let other = connect(&shared().await.amqp_url()).await;
    let error = other
        .enqueue(Note::new(1))
        .queue(&queue.clone().delivery_limit(7))
        .await
        .expect_err("refused");

    // Then
    let text = error.to_string();
    for part in [
        queue.name(),
        "exists with other settings",
        "`x-delivery-limit` is 100 there",
        "7 was wanted",
        "never deletes",
    ] {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[tokio::test]
async fn a_dropped_enqueue_sends_nothing_and_a_dropped_pending_changes_nothing() {
    // Given
    let producer = connect(&shared().await.amqp_url()).await;
    let queue = own_queue("dropped");

    // When
    drop(producer.enqueue(Note::new(1)).queue(&queue));
    drop(producer.enqueue(Note::new(2)).queue(&queue).submit());
    drop(
        producer
            .enqueue(Note::new(3))
            .queue(&queue)
            .submit()
            .await
            .expect("accepted"),
    );
    producer.enqueue(Note::new(4)).queue(&queue).await.expect("confirmed");

    // Then
    assert_eq!(numbers_in(producer.rabbit(), &queue).await, [3, 4]);
}

#[tokio::test]
async fn closing_waits_for_what_was_accepted() {
    // Given
    let url = shared().await.amqp_url();
    let queue = own_queue("closing");
    let producer = connect(&url).await;
    for number in 0..2_000 {
        drop(
            producer
                .enqueue(Note::new(number))
                .queue(&queue)
                .submit()
                .await
                .expect("accepted"),
        );
    }

    // When
    producer.close().await;

    // Then
    let reader = connect(&url).await;
    assert_eq!(
        numbers_in(reader.rabbit(), &queue).await,
        (0..2_000).collect::<Vec<_>>()
    );
    let error = producer.enqueue(Note::new(1)).queue(&queue).await.expect_err("closed");
    assert_eq!(error.fate(), Fate::NotSent);
}

#[tokio::test]
async fn in_verify_mode_what_is_missing_is_refused_at_once_and_what_is_there_is_used() {
    // Given a queue that is there and one that is not
    let url = shared().await.amqp_url();
    let (there, missing) = (own_queue("there"), own_queue("not-there"));
    make(&connect(&url).await, &there).await;
    let producer = Producer::connect(options(&url).topology(TopologyMode::Verify))
        .await
        .expect("connected");

    // When
    let stored = producer.enqueue(Note::new(1)).queue(&there).await;
    let error = producer
        .enqueue(Note::new(2))
        .queue(&missing)
        .await
        .expect_err("missing");

    // Then nothing was made on the way
    stored.expect("confirmed");
    let text = error.to_string();
    assert!(
        matches!(error.fate(), Fate::Refused(Why::Undeclared(_))) && text.contains("`verify`"),
        "{text}"
    );
    let session = taker::session(producer.rabbit()).await;
    let absent = session.inspect(missing.name()).await.expect_err("nobody made it");
    assert_eq!(absent.kind(), leveret::broker::BrokerErrorKind::NotFound);
}

#[tokio::test]
async fn headers_above_the_limit_are_refused_before_anything_is_sent() {
    // Given
    let producer = connect(&shared().await.amqp_url()).await;
    let queue = own_queue("headers");

    // When
    let large = producer
        .enqueue(Note::new(1))
        .queue(&queue)
        .header("large", "x".repeat(120_000));
    let error = large.await.expect_err("too large");

    // Then the connection is none the worse for it
    assert!(matches!(error.fate(), Fate::Refused(Why::Unsendable(_))), "{error}");
    producer.enqueue(Note::new(2)).queue(&queue).await.expect("confirmed");
}
