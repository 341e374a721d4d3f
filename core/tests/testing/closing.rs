//! The edges of a producer's life: closed for good, with deadlines beyond all time, behind connections that do not last.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPoint, Moment};
use leveret::testing::TestBroker;
use leveret::{Fate, Producer};

use crate::Note;

#[tokio::test(start_paused = true)]
async fn a_closed_producer_gives_the_job_back_and_says_that_it_is_closed() {
    // Given
    let broker = TestBroker::new();
    let producer = broker.producer();
    producer.enqueue(Note { number: 1 }).await.unwrap();
    producer.close().await;

    // When
    let tried = producer.try_enqueue(Note { number: 2 }).unwrap_err();
    let enqueued = producer.enqueue(Note { number: 3 }).await.unwrap_err();

    // Then
    assert_eq!(tried.job, Note { number: 2 });
    for error in [&tried.error, &enqueued] {
        assert_eq!(error.fate(), Fate::NotSent);
        assert!(!error.is_ledger_full());
        assert!(
            error.to_string().contains("was not sent: the producer was closed"),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_enqueue_outlives_the_producer_that_it_was_begun_with() {
    // Given enqueues whose producers, the only ones on their connections, are gone
    let broker = TestBroker::new();
    let begun = broker.producer().enqueue(Note { number: 1 });
    let submitted = broker.producer().enqueue(Note { number: 2 }).submit().await.unwrap();
    let tried = broker.producer().try_enqueue(Note { number: 3 }).unwrap();

    // When they are awaited, then they are stored
    begun.await.unwrap();
    submitted.await.unwrap();
    tried.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_may_be_as_long_as_can_be() {
    // Given deadlines that no clock can add to its time; the first enqueue is at the clock's very beginning
    let broker = TestBroker::new();
    let ages = Duration::MAX;
    let options = broker.options().confirm_deadline(ages).close_deadline(ages);
    let options = options.connect_deadline(ages).rpc_deadline(ages);
    let producer = Producer::connect(options).await.unwrap();

    // When, then
    producer.enqueue(Note { number: 1 }).await.unwrap();
    producer
        .enqueue(Note { number: 2 })
        .confirm_timeout(ages)
        .await
        .unwrap();
    producer.try_enqueue(Note { number: 3 }).unwrap().await.unwrap();
    broker.withhold_confirms();
    let pending = producer.enqueue(Note { number: 4 }).submit().await.unwrap();
    broker.heal();
    pending.await.unwrap();
    producer.close().await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_die_as_soon_as_they_stand_are_replaced_slowly() {
    // Given a broker that accepts every connection and drops it at once
    let broker = TestBroker::new();
    let connects = Arc::new(AtomicU32::new(0));
    let counter = connects.clone();
    broker.set_faults(move |point| match point {
        FaultPoint::Connect => {
            counter.fetch_add(1, Ordering::SeqCst);
            Fault::LoseConnection(Moment::After)
        }
        _ => Fault::None,
    });
    let producer = broker.producer();

    // When ten minutes pass
    tokio::time::sleep(Duration::from_secs(600)).await;

    // Then it was tried about every half second (a second, with full jitter): were each success a new start, it were every 25 ms
    let tries = connects.load(Ordering::SeqCst);
    assert!((600..2_400).contains(&tries), "{tries} connections in ten minutes");
    broker.heal();
    producer.enqueue(Note { number: 1 }).await.unwrap();
}
