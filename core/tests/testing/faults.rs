//! Each fault does to a producer what it does on RabbitMQ, and is over when it is healed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPoint};
use leveret::testing::TestBroker;
use leveret::{Fate, HeaderValue, Rabbit, Why};
use tokio::time::Instant;

use crate::{MAIL, Note};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_lost_connection_costs_no_job() {
    let broker = TestBroker::new();
    let producer = broker.producer();
    producer.enqueue(Note { number: 1 }).await.unwrap();

    broker.lose_connections();

    producer.enqueue(Note { number: 2 }).await.unwrap();
    broker.assert_queue_depth(&MAIL, 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_in_the_middle_of_a_publish_makes_a_second_copy_that_says_so() {
    // Given a connection that is cut at the third publish, whose message is stored
    let broker = TestBroker::new();
    let producer = broker.producer();
    broker.lose_connection_after_publishes(2);

    // When
    for number in [1, 2, 3, 4] {
        producer.enqueue(Note { number }).await.unwrap();
    }

    // Then that one is there twice, with the same id, and the second is marked
    let enqueued = broker.enqueued::<Note>();
    let numbers: Vec<u64> = enqueued.iter().map(|one| one.job.number).collect();
    assert_eq!(numbers, [1, 2, 3, 3, 4]);
    assert_eq!(enqueued[2].id(), enqueued[3].id());
    assert_eq!(enqueued[3].header("leveret-resent"), Some(&HeaderValue::Bool(true)));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_down_takes_jobs_when_it_is_back() {
    let broker = TestBroker::new();
    let producer = broker.producer();
    producer.enqueue(Note { number: 1 }).await.unwrap();

    broker.go_down();
    let pending = producer.enqueue(Note { number: 2 }).submit().await.unwrap();
    let impatient = producer
        .enqueue(Note { number: 3 })
        .confirm_timeout(SECOND)
        .await
        .unwrap_err();

    assert_eq!(impatient.fate(), Fate::NotSent);
    broker.assert_queue_depth(&MAIL, 1);
    broker.heal();
    pending.await.unwrap();
    broker.assert_queue_depth(&MAIL, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_told_at_once_and_tried_again() {
    let broker = TestBroker::new();
    let producer = broker.producer();
    producer.enqueue(Note { number: 1 }).await.unwrap();

    broker.refuse_logins();
    broker.lose_connections();

    let refused = Rabbit::connect(broker.options()).await.unwrap_err();
    assert!(refused.is_refused(), "{refused}");
    assert!(
        refused.to_string().contains("check user name and password"),
        "{refused}"
    );
    broker.heal();
    producer.enqueue(Note { number: 2 }).await.unwrap();
    broker.assert_queue_depth(&MAIL, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_publish_is_refused() {
    let broker = TestBroker::new();
    let producer = broker.producer();

    broker.refuse_publishes();

    let error = producer.enqueue(Note { number: 1 }).await.unwrap_err();
    assert_eq!(error.fate(), Fate::Refused(Why::Nacked));
    broker.assert_not_enqueued::<Note>();
    broker.heal();
    producer.enqueue(Note { number: 1 }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delayed_confirm_comes_when_it_is_due() {
    let broker = TestBroker::new();
    let producer = broker.producer();
    let before = Instant::now();

    broker.delay_confirms(7 * SECOND);
    producer.enqueue(Note { number: 1 }).await.unwrap();

    assert!(before.elapsed() >= 7 * SECOND, "it was there at once");
}

#[tokio::test(start_paused = true)]
async fn a_withheld_confirm_leaves_a_job_in_doubt_or_comes_with_the_healing() {
    // Given
    let broker = TestBroker::new();
    let producer = broker.producer();
    broker.withhold_confirms();

    // When one caller's patience ends before the broker is healed, and another's does not
    let impatient = producer.enqueue(Note { number: 1 }).confirm_timeout(SECOND);
    let doubt = impatient.await.unwrap_err();
    let patient = producer.enqueue(Note { number: 2 }).submit().await.unwrap();
    tokio::time::sleep(SECOND).await;
    broker.heal();

    // Then
    assert_eq!(doubt.fate(), Fate::Unknown);
    patient.await.unwrap();
    broker.assert_queue_depth(&MAIL, 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_confirm_is_lost_is_sent_again_on_a_new_channel() {
    // Given a broker that loses the confirm of one publish while its connection lives
    let broker = TestBroker::new();
    let producer = broker.producer();
    let mut lost = false;
    broker.set_faults(move |point| match point {
        FaultPoint::Publish if !std::mem::replace(&mut lost, true) => Fault::DelayAnswer(Duration::MAX),
        _ => Fault::None,
    });

    // When
    let before = Instant::now();
    producer.enqueue(Note { number: 1 }).await.unwrap();

    // Then it is confirmed long before its deadline, and the second copy says that it is one
    assert!(before.elapsed() < 8 * SECOND, "{:?}", before.elapsed());
    let copies = broker.enqueued::<Note>();
    assert_eq!(copies.len(), 2);
    assert_eq!(copies[0].id(), copies[1].id());
    assert_eq!(copies[1].header("leveret-resent"), Some(&HeaderValue::Bool(true)));
}

#[tokio::test(start_paused = true)]
async fn a_nack_of_a_queue_without_a_limit_is_tried_again() {
    // Given a broker that nacks one publish, as in an election
    let broker = TestBroker::new();
    let producer = broker.producer();
    let mut nacked = false;
    broker.set_faults(move |point| match point {
        FaultPoint::Publish if !std::mem::replace(&mut nacked, true) => Fault::Nack,
        _ => Fault::None,
    });

    // When, then
    producer.enqueue(Note { number: 1 }).await.unwrap();
    broker.assert_queue_depth(&MAIL, 1);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_holds_up_what_is_published_until_it_is_over() {
    let broker = TestBroker::new();
    let producer = broker.producer();
    producer.enqueue(Note { number: 1 }).await.unwrap();

    broker.block("low on memory");
    let pending = producer.enqueue(Note { number: 2 }).submit().await.unwrap();
    let mut state = producer.rabbit().publishing().state();
    state.wait_for(|state| state.is_blocked()).await.unwrap();
    broker.assert_queue_depth(&MAIL, 1);

    broker.heal();
    pending.await.unwrap();
    broker.assert_queue_depth(&MAIL, 2);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_queue_is_declared_anew_for_the_next_job() {
    let broker = TestBroker::new();
    let producer = broker.producer();
    producer.enqueue(Note { number: 1 }).await.unwrap();

    assert!(broker.delete_queue(&MAIL));

    producer.enqueue(Note { number: 2 }).await.unwrap();
    broker.assert_queue_depth(&MAIL, 1);
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_the_tests_own_comes_before_the_switches() {
    let broker = TestBroker::new();
    let producer = broker.producer();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    broker.set_faults(move |point| match point {
        FaultPoint::Publish if counter.fetch_add(1, Ordering::Relaxed) < 2 => Fault::Nack,
        _ => Fault::None,
    });

    producer.enqueue(Note { number: 1 }).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 3, "two nacks, and then it was stored");

    broker.refuse_publishes();
    assert!(producer.enqueue(Note { number: 2 }).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_lose_nothing_over_a_lost_connection() {
    let broker = TestBroker::new();
    let producer = broker.producer();
    broker.lose_connection_after_publishes(50);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let producer = producer.clone();
        tasks.spawn(async move { producer.enqueue(Note { number }).await });
    }

    for result in tasks.join_all().await {
        result.unwrap();
    }

    for number in 0..100 {
        broker.assert_enqueued(&Note { number });
    }
}
