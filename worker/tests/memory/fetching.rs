//! Fetching single jobs, and what becomes of them.

use leveret::broker::memory::Fault;
use leveret::broker::memory::FaultPoint;
use leveret_worker::{Fetched, Fetcher, JobError, Outcome, Settled};

use crate::kit::*;

async fn fetcher(stand: &Stand) -> Fetcher {
    Fetcher::connect(&stand.rabbit, &MAIL).await.expect("connected")
}

async fn fetch(fetcher: &mut Fetcher) -> Option<Fetched<Note>> {
    fetcher.fetch::<Note>().await.expect("connected")
}

async fn fetch_one(fetcher: &mut Fetcher) -> Fetched<Note> {
    fetch(fetcher).await.expect("the queue is not empty")
}

fn told(fetched: &Fetched<Note>) -> (u64, u32, bool) {
    let context = fetched.context();
    (fetched.job().number, context.attempt(), context.is_redelivered())
}

#[tokio::test(start_paused = true)]
async fn a_result_decides_as_it_does_for_a_worker() {
    // Given four jobs
    let stand = Stand::new();
    let mut fetcher = fetcher(&stand).await;
    assert!(fetch(&mut fetcher).await.is_none());
    stand.enqueue(0..4).await;

    // When one succeeds, one fails, one is rejected and one is called off
    let mut settled = Vec::new();
    for number in 0..4 {
        let fetched = fetch_one(&mut fetcher).await;
        assert_eq!(told(&fetched), (number, 1, false));
        let result = match number {
            0 => Ok(Outcome::Done),
            1 => Err(JobError::retry_in(std::time::Duration::ZERO, "not now")),
            2 => Err(JobError::reject("never")),
            _ => Ok(Outcome::Cancel("void".into())),
        };
        settled.push(fetched.settle(result).await.expect("settled"));
    }

    // Then each went its way, and the one that failed comes again as its second attempt
    assert_eq!(
        settled,
        [
            Settled::Done,
            Settled::Retried,
            Settled::DeadLettered,
            Settled::Cancelled
        ]
    );
    let again = fetch_one(&mut fetcher).await;
    assert_eq!(told(&again), (1, 2, false));
    again.settle(()).await.expect("settled");
    assert!(fetch(&mut fetcher).await.is_none());
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-reason"), "rejected");
    let report = fetcher.close().await;
    assert_eq!((report.completed, report.failed, report.retried), (2, 2, 1));
    assert_eq!((report.dead_lettered, report.cancelled, report.left_unacked), (1, 1, 0));
    stand.wait_for_empty("mail").await;
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_makes_a_dead_letter() {
    let stand = Stand::new();
    stand.enqueue([7]).await;
    let mut fetcher = fetcher(&stand).await;

    for attempt in 1..=3 {
        stand.wait_for("mail", |depth| depth.ready == 1).await;
        let fetched = fetch_one(&mut fetcher).await;
        assert_eq!(told(&fetched), (7, attempt, false));
        assert_eq!(fetched.context().is_last_attempt(), attempt == 3);
        let settled = fetched.settle(Err::<(), _>("no")).await.expect("settled");
        assert_eq!(
            settled,
            if attempt == 3 {
                Settled::DeadLettered
            } else {
                Settled::Retried
            }
        );
    }

    assert!(fetch(&mut fetcher).await.is_none());
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-error"), "no");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_dropped_unsettled_comes_again() {
    let stand = Stand::new();
    stand.enqueue([1]).await;
    let mut fetcher = fetcher(&stand).await;

    drop(fetch_one(&mut fetcher).await);

    // The same attempt: nothing failed.
    let again = fetch_one(&mut fetcher).await;
    assert_eq!(told(&again), (1, 1, true));

    // And so does one that outlives its fetcher; settling it says so.
    let report = fetcher.close().await;
    assert_eq!((report.returned, report.left_unacked), (1, 1));
    let error = again.settle(()).await.expect_err("its fetcher is gone");
    assert!(error.is_stale(), "{error}");
    stand
        .wait_for("mail", |depth| (depth.ready, depth.unacked) == (1, 0))
        .await;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_fetcher_loses_nothing() {
    let stand = Stand::new();
    stand.enqueue([1, 2]).await;
    let mut fetcher = fetcher(&stand).await;
    let held = fetch_one(&mut fetcher).await;

    drop(fetcher);

    stand
        .wait_for("mail", |depth| (depth.ready, depth.unacked) == (2, 0))
        .await;
    assert!(held.settle(()).await.expect_err("gone").is_stale());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_often_given_back_is_not_counted_to_death() {
    let stand = Stand::new();
    stand.enqueue([1]).await;
    let mut fetcher = fetcher(&stand).await;

    for _ in 0..250 {
        drop(fetch_one(&mut fetcher).await);
        stand
            .wait_for("mail", |depth| (depth.ready, depth.unacked) == (1, 0))
            .await;
    }

    let fetched = fetch_one(&mut fetcher).await;
    assert_eq!(fetched.context().attempt(), 1);
    assert_eq!(stand.broker.depth("mail.dead").map(|depth| depth.ready), Some(0));
    fetched.settle(()).await.expect("settled");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_job_of_the_type_becomes_a_dead_letter_with_its_bytes() {
    // Given two messages that are none, before one that is
    let stand = Stand::new();
    let mut fetcher = fetcher(&stand).await;
    stand.foreign(Some("note"), b"{\"number\": \"four\"}");
    stand.foreign(Some("letter"), b"{\"number\": 4}");
    stand.foreign(Some("note"), b"{\"number\": 4}");

    // When
    let fetched = fetch_one(&mut fetcher).await;

    // Then
    assert_eq!(fetched.job().number, 4);
    fetched.settle(()).await.expect("settled");
    let dead = stand.dead_letters(2).await;
    let reasons: Vec<_> = dead
        .iter()
        .map(|message| text(message, "leveret-failure-reason"))
        .collect();
    assert_eq!(reasons, ["undecodable", "unknown_type"]);
    assert_eq!(dead[0].body.as_ref(), b"{\"number\": \"four\"}");
    assert_eq!(dead[1].body.as_ref(), b"{\"number\": 4}");
    assert!(text(&dead[1], "leveret-failure-error").contains("`letter`"));
}

#[tokio::test(start_paused = true)]
async fn several_jobs_are_in_hand_and_settled_in_any_order() {
    let stand = Stand::new();
    stand.enqueue(0..5).await;
    let mut fetcher = fetcher(&stand).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(fetch_one(&mut fetcher).await);
    }
    assert!(fetch(&mut fetcher).await.is_none());

    for fetched in held.into_iter().rev() {
        assert_eq!(fetched.settle(()).await.expect("settled"), Settled::Done);
    }

    stand.wait_for_empty("mail").await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_makes_a_job_stale_and_fetching_goes_on() {
    // Given a job in hand
    let stand = Stand::new();
    stand.enqueue([1]).await;
    let mut fetcher = fetcher(&stand).await;
    let held = fetch_one(&mut fetcher).await;
    let context = held.context();

    // When the connection is cut
    stand.broker.drop_connections_named("leveret (consume)");
    context.cancelled().await;

    // Then settling it says that it will come again, and it does
    let error = held.settle(()).await.expect_err("its channel is gone");
    assert!(error.is_stale(), "{error}");
    assert!(error.to_string().contains("will be delivered again"), "{error}");
    let again = fetch_one(&mut fetcher).await;
    assert_eq!(told(&again), (1, 1, true));
    again.settle(()).await.expect("settled");
    stand.wait_for_empty("mail").await;
}

#[tokio::test(start_paused = true)]
async fn a_settlement_goes_on_when_nobody_waits_for_it() {
    // Given a broker that takes no publishes, and a job that failed
    let stand = Stand::new();
    stand.enqueue([1]).await;
    let mut fetcher = fetcher(&stand).await;
    let held = fetch_one(&mut fetcher).await;
    stand.nack_publishes();

    // When its settlement is given up halfway, and the broker takes publishes again
    let settling = held.settle(Err::<(), _>("no"));
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), settling).await;
    assert!(given_up.is_err(), "it waits for the retry to be stored");
    stand.broker.heal();

    // Then the retry is stored all the same
    stand
        .wait_for("mail", |depth| (depth.ready, depth.unacked) == (1, 0))
        .await;
    assert_eq!(told(&fetch_one(&mut fetcher).await), (1, 2, false));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_cannot_be_stored_goes_back_as_it_was() {
    let stand = Stand::new();
    stand.enqueue([1]).await;
    let mut fetcher = fetcher(&stand).await;
    let held = fetch_one(&mut fetcher).await;
    stand.nack_publishes();

    let settled = held.settle(Err::<(), _>("no")).await.expect("settled");

    assert_eq!(settled, Settled::Returned);
    assert_eq!(told(&fetch_one(&mut fetcher).await), (1, 1, true));
}

#[tokio::test(start_paused = true)]
async fn an_ack_whose_arrival_is_unknown_is_told_as_such() {
    // Given a connection that breaks right after the broker has taken the ack in
    let stand = Stand::new();
    stand.enqueue([1]).await;
    let mut fetcher = fetcher(&stand).await;
    let held = fetch_one(&mut fetcher).await;
    stand.broker.set_faults(|point| match point {
        FaultPoint::Flush => Fault::LoseConnection(leveret::broker::memory::Moment::After),
        _ => Fault::None,
    });

    // When
    let error = held.settle(()).await.expect_err("nobody answered");

    // Then it may come again, or not; here it does not
    assert!(error.is_stale(), "{error}");
    assert!(fetch(&mut fetcher).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_without_a_broker_ends_with_an_error_and_can_be_tried_again() {
    let stand = Stand::new();
    stand.enqueue([1]).await;
    let mut fetcher = fetcher(&stand).await;
    stand.broker.refuse_connections(true);
    stand.broker.drop_connections();

    let begun = tokio::time::Instant::now();
    let error = fetcher.fetch::<Note>().await.expect_err("no broker");

    assert!(error.is_connect(), "{error}");
    assert!(error.to_string().contains("`mail`, tried for 30 seconds"), "{error}");
    assert!(begun.elapsed() <= std::time::Duration::from_secs(31));
    stand.broker.refuse_connections(false);
    assert_eq!(told(&fetch_one(&mut fetcher).await), (1, 1, false));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_nobody_waits_for_holds_nothing_up() {
    // Given a fetcher whose broker has gone, and a fetch that was given up
    let stand = Stand::new();
    let mut fetcher = fetcher(&stand).await;
    stand.broker.refuse_connections(true);
    stand.broker.drop_connections();
    let second = std::time::Duration::from_secs(1);
    assert!(tokio::time::timeout(second, fetcher.fetch::<Note>()).await.is_err());

    // When the fetcher is closed, then it is so within the close deadline, not when the fetch would have ended
    let begun = tokio::time::Instant::now();
    fetcher.close().await;
    assert!(begun.elapsed() <= 5 * second, "{:?}", begun.elapsed());
}
