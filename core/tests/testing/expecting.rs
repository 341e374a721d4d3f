//! Expectations that are not met say what is there instead.

use std::panic::{AssertUnwindSafe, catch_unwind};

use leveret::testing::TestBroker;

use crate::{Bill, MAIL, Note};

/// What an expectation says that is not met.
fn complaint<T>(expect: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(expect)) {
        Ok(_) => panic!("it was met"),
        Err(payload) => *payload.downcast::<String>().unwrap(),
    }
}

#[tokio::test]
async fn a_job_is_found_by_its_value_or_by_a_part_of_it() {
    let broker = TestBroker::new();
    for number in [7, 8] {
        broker.producer().enqueue(Note { number }).await.unwrap();
    }

    assert_eq!(broker.assert_enqueued(&Note { number: 8 }).job.number, 8);
    assert_eq!(
        broker.assert_enqueued_where::<Note>(|note| note.number > 6).job.number,
        7
    );
    broker.assert_not_enqueued::<Bill>();
    broker.assert_queue_depth(&MAIL, 2);
    broker.assert_queue_depth(&leveret::Queue::new("bills"), 0);
}

#[tokio::test]
async fn what_is_not_as_expected_is_told_with_what_is_there() {
    let broker = TestBroker::new();
    broker.producer().enqueue(Note { number: 7 }).await.unwrap();
    broker.producer().enqueue(Bill { cents: 9 }).await.unwrap();
    let there = "in the queues are:\n  bills (1)\n    bill {\"cents\":9}\n  mail (1)\n    note {\"number\":7}";

    for (complaint, expected) in [
        (
            complaint(|| broker.assert_enqueued(&Note { number: 8 })),
            "no `note` {\"number\":8} is enqueued; ",
        ),
        (
            complaint(|| broker.assert_enqueued_where::<Note>(|_| false)),
            "no such `note` is enqueued; ",
        ),
        (
            complaint(|| broker.assert_not_enqueued::<Bill>()),
            "1 `bill` enqueued; ",
        ),
        (
            complaint(|| broker.assert_queue_depth(&MAIL, 3)),
            "the queue `mail` holds 1, not 3; ",
        ),
    ] {
        assert_eq!(complaint, format!("{expected}{there}"));
    }
}

#[tokio::test]
async fn an_empty_broker_and_a_full_one_are_told_in_few_words() {
    let broker = TestBroker::new();
    let told = complaint(|| broker.assert_enqueued(&Note { number: 7 }));
    assert_eq!(told, "no `note` {\"number\":7} is enqueued; the queues are empty");

    broker
        .producer()
        .enqueue_all((0..25).map(|number| Note { number }))
        .await;
    let told = complaint(|| broker.assert_not_enqueued::<Note>());
    assert!(told.ends_with("    note {\"number\":19}\n    and 5 more"), "{told}");
}
