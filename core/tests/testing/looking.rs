//! What is seen of a queue, and that looking changes nothing.

use std::time::Duration;

use leveret::broker::{Broker, ConsumerEvent, Destination, Settlement};
use leveret::testing::TestBroker;
use leveret::{Envelope, HeaderValue, Message, Producer, Queue};

use crate::{Bill, MAIL, Note};

#[tokio::test]
async fn brokers_have_nothing_in_common() {
    // Given
    let (one, other) = (TestBroker::new(), TestBroker::default());

    // When
    one.producer().enqueue(Note { number: 7 }).await.unwrap();

    // Then
    assert_ne!(one.url(), other.url());
    assert_eq!((one.depth(&MAIL), other.depth(&MAIL)), (1, 0));
}

#[tokio::test]
async fn a_url_leads_to_its_broker_for_as_long_as_that_lives() {
    // Given a producer that was made from the URL alone
    let broker = TestBroker::new();
    let url = broker.url();
    let producer = Producer::connect(&url).await.unwrap();
    producer.enqueue(Note { number: 7 }).await.unwrap();
    broker.clone().assert_enqueued(&Note { number: 7 });

    // When the broker is dropped
    drop(broker);

    // Then the producer still has it, and the name is free: it leads to an empty one
    producer.enqueue(Note { number: 8 }).await.unwrap();
    let namesake = leveret::broker::memory::MemoryBroker::named(url.trim_start_matches("memory://"));
    assert!(namesake.queues().is_empty());
}

#[tokio::test]
async fn a_job_is_seen_with_all_that_goes_with_it() {
    let broker = TestBroker::new();
    let archive = Queue::new("archive");
    let enqueue = broker
        .producer()
        .enqueue(Note { number: 7 })
        .queue(&archive)
        .id("note-7");
    let enqueue = enqueue.max_attempts(3).timeout(Duration::from_secs(9));
    enqueue.correlation_id("signup-7").header("tenant", "eu").await.unwrap();

    let enqueued = broker.enqueued::<Note>();

    assert_eq!(enqueued.len(), 1);
    let one = &enqueued[0];
    assert_eq!((one.job.number, one.queue(), one.attempt()), (7, "archive", 1));
    assert_eq!(one.id().unwrap().as_str(), "note-7");
    assert_eq!(
        (one.max_attempts(), one.timeout()),
        (Some(3), Some(Duration::from_secs(9)))
    );
    assert_eq!(one.correlation_id(), Some("signup-7"));
    assert_eq!(one.header("tenant").and_then(HeaderValue::as_text), Some("eu"));
    assert!(broker.enqueued::<Bill>().is_empty(), "another type is another job");
}

#[tokio::test]
async fn looking_takes_nothing_out_and_sees_what_a_worker_holds() {
    // Given two jobs, one of which is with a consumer
    let broker = TestBroker::new();
    for number in [1, 2] {
        broker.producer().enqueue(Note { number }).await.unwrap();
    }
    let session = broker.memory().connect("test").await.unwrap();
    let mut consumer = session.consume("mail", 1).await.unwrap();
    let event = std::future::poll_fn(|cx| consumer.poll_event(cx)).await;
    let ConsumerEvent::Delivery(delivery) = event else {
        panic!("no delivery: {event:?}")
    };

    // When one looks, again and again, then both are there
    for _ in 0..3 {
        let numbers: Vec<u64> = broker.enqueued::<Note>().iter().map(|one| one.job.number).collect();
        assert_eq!(numbers, [1, 2]);
        broker.assert_queue_depth(&MAIL, 2);
    }

    // And once the first is acked, it is not
    consumer.settle(delivery.lease, Settlement::Ack).unwrap();
    consumer.cancel().await.unwrap();
    consumer.flush();
    broker.assert_queue_depth(&MAIL, 1);
    broker.assert_enqueued(&Note { number: 2 });
}

/// Stores a message in a queue as another program would.
fn store(broker: &TestBroker, queue: &str, kind: &str, body: &'static [u8]) {
    let mut message = Message {
        body: body.into(),
        ..Message::default()
    };
    message.properties.kind = Some(kind.into());
    broker
        .memory()
        .publish_raw(&Destination::queue(queue), &message)
        .unwrap();
}

#[tokio::test]
async fn a_job_under_a_former_name_or_of_another_program_is_seen() {
    let broker = TestBroker::new();
    broker.producer().enqueue(Note { number: 1 }).await.unwrap();

    store(&broker, "mail", "old_note", br#"{"number": 2}"#);

    let enqueued = broker.assert_enqueued_where::<Note>(|note| note.number == 2);
    assert!(!enqueued.id().unwrap().is_stable(), "it has no id of its own");
    assert_eq!(enqueued.attempt(), 1);
}

#[tokio::test]
#[should_panic(expected = "a message in the queue `mail` says that it is a `note`: the body is no `note`")]
async fn a_message_that_is_no_such_job_is_not_overlooked() {
    let broker = TestBroker::new();
    broker.producer().enqueue(Note { number: 1 }).await.unwrap();

    store(&broker, "mail", "note", b"[]");

    let _ = broker.enqueued::<Note>();
}

#[tokio::test]
async fn dead_letters_are_no_enqueued_jobs_and_say_why() {
    // Given a dead letter that a worker made, and one that the broker made
    let broker = TestBroker::new();
    broker.producer().enqueue(Note { number: 1 }).await.unwrap();
    let envelope = Envelope::new(Note { number: 2 }).unwrap();
    let mut message = envelope.to_message(&leveret::envelope::Limits::default()).unwrap();
    for (name, text) in [
        ("leveret-failure-reason", "failed"),
        ("leveret-failure-error", "no 2 today"),
    ] {
        message.properties.headers.insert(name.to_owned(), text.into());
    }
    broker
        .memory()
        .publish_raw(&Destination::queue("mail.dead"), &message)
        .unwrap();
    let session = broker.memory().connect("test").await.unwrap();
    let mut consumer = session.consume("mail", 1).await.unwrap();
    let event = std::future::poll_fn(|cx| consumer.poll_event(cx)).await;
    let ConsumerEvent::Delivery(delivery) = event else {
        panic!("no delivery: {event:?}")
    };
    consumer.settle(delivery.lease, Settlement::DeadLetter).unwrap();
    consumer.flush();
    store(&broker, "mail.dead", "note", b"[]");

    // Then
    broker.assert_not_enqueued::<Note>();
    let dead = broker.dead_letters::<Note>();
    let told: Vec<_> = dead
        .iter()
        .map(|one| (one.job.clone(), one.queue(), one.reason(), one.error()))
        .collect();
    let note = |number| Some(Note { number });
    assert_eq!(
        told,
        [
            (note(2), "mail", "failed", "no 2 today"),
            (note(1), "mail", "rejected", ""),
            (None, "mail", "", ""),
        ]
    );
    assert_eq!(&dead[2].body()[..], b"[]");
    assert!(broker.dead_letters::<Bill>().is_empty());
}
