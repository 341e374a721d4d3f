//! One handler on one job: what it is given, and what is made of what it returns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use leveret::testing::TestBroker;
use leveret::{EnqueueError, HeaderValue, Producer, Queue};
use leveret_worker::testing::{self, Verdict};
use leveret_worker::{Cause, Context, Handler, JobError, Outcome, State, async_trait};

use crate::{Mail, Order};

const SECOND: Duration = Duration::from_secs(1);

fn order() -> Order {
    Order { number: 7 }
}

#[tokio::test]
async fn every_end_of_a_handler_has_its_verdict() {
    let failed = |error: &str| Verdict::Retry {
        after: 2 * SECOND,
        reason: "failed",
        error: error.to_owned(),
    };
    let run = async |outcome: fn() -> Result<Outcome, JobError>| {
        testing::run(move |_: Order| std::future::ready(outcome()), order())
            .await
            .verdict()
            .clone()
    };

    assert_eq!(run(|| Ok(Outcome::Done)).await, Verdict::Done);
    assert_eq!(
        run(|| Ok(Outcome::Snooze(SECOND))).await,
        Verdict::Snooze { after: SECOND }
    );
    assert_eq!(
        run(|| Ok(Outcome::Cancel("void".to_owned()))).await,
        Verdict::Cancelled {
            reason: "void".to_owned()
        }
    );
    assert_eq!(run(|| Ok(Outcome::Failed("boom".into()))).await, failed("boom"));
    let rejected = run(|| Err(JobError::reject("boom"))).await;
    assert!(
        matches!(rejected, Verdict::DeadLetter { reason: "rejected", .. }),
        "{rejected:?}"
    );
    let later = run(|| Err(JobError::retry_in(9 * SECOND, "boom"))).await;
    assert!(
        matches!(later, Verdict::Retry { after, .. } if after == 9 * SECOND),
        "{later:?}"
    );
}

#[tokio::test]
async fn the_number_of_the_attempt_decides_and_lengthens_the_wait() {
    let fail = async |_: Order, context: Context| -> Result<(), String> {
        Err(format!("{} of {}", context.attempt(), context.max_attempts()))
    };
    for (run, expected) in [
        (
            testing::run(fail, order()).attempt(2),
            Verdict::Retry {
                after: 4 * SECOND,
                reason: "failed",
                error: "2 of 3".to_owned(),
            },
        ),
        (
            testing::run(fail, order()).attempt(3),
            Verdict::DeadLetter {
                reason: "failed",
                error: "3 of 3".to_owned(),
            },
        ),
        (
            testing::run(fail, order()).attempt(3).max_attempts(4),
            Verdict::Retry {
                after: 8 * SECOND,
                reason: "failed",
                error: "3 of 4".to_owned(),
            },
        ),
    ] {
        let ran = run.await;
        assert_eq!(*ran.verdict(), expected);
        assert!(ran.error().is_some_and(|error| error.contains(" of ")));
    }
}

#[tokio::test]
async fn a_handler_finds_what_it_was_given() {
    async fn look(job: Order, State(prefix): State<String>, context: Context) -> Result<(), String> {
        assert_eq!((job.number, prefix.as_str()), (7, "no."));
        assert_eq!(
            (context.id().as_str(), context.queue(), context.worker()),
            ("order-7", "eu", "till")
        );
        assert_eq!((context.job_name(), context.attempt()), ("order", 2));
        assert_eq!((context.timeout(), context.is_redelivered()), (SECOND, true));
        assert_eq!(context.correlation_id(), Some("cart-7"));
        assert_eq!(context.header("tenant").and_then(HeaderValue::as_text), Some("eu"));
        assert!(context.cancellation().is_none() && context.enqueued_at().is_some());
        Ok(())
    }
    let run = testing::run(look, order())
        .state("no.".to_owned())
        .attempt(2)
        .id("order-7");
    let run = run
        .queue(&Queue::new("eu"))
        .worker("till")
        .timeout(SECOND)
        .redelivered();
    run.correlation_id("cart-7").header("tenant", "eu").await.assert_done();
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_timeout_are_failures_with_their_own_reason() {
    async fn panics(job: Order) {
        panic!("number {}", job.number)
    }
    let hangs = async |_: Order| std::future::pending::<()>().await;

    let panicked = testing::run(panics, order()).await;
    let timed_out = testing::run(hangs, order()).timeout(5 * SECOND).attempt(3).await;

    assert!(
        matches!(panicked.verdict(), Verdict::Retry { reason: "panicked", error, .. } if error.ends_with("number 7"))
    );
    assert!(
        matches!(timed_out.verdict(), Verdict::DeadLetter { reason: "timed_out", error } if error.contains("limit of 5s"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_asked_to_stop_when_the_test_says_so() {
    let crawl = async |_: Order, context: Context| -> Result<(), String> {
        let begun = tokio::time::Instant::now();
        let cause = context.cancelled().await;
        Err(format!("{cause:?} after {:?}", begun.elapsed()))
    };
    let stubborn = async |_: Order| {};

    let stopped = testing::run(crawl, order())
        .stop_after(3 * SECOND, Cause::Shutdown)
        .await;
    let at_once = testing::run(crawl, order())
        .stop_after(Duration::ZERO, Cause::LeaseLost)
        .await;
    let done = testing::run(stubborn, order())
        .stop_after(Duration::ZERO, Cause::Shutdown)
        .await;

    assert_eq!(*stopped.verdict(), Verdict::GivenBack);
    assert_eq!(*at_once.verdict(), Verdict::GivenBack);
    done.assert_done();
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_enqueues_is_in_the_broker_that_it_was_given() {
    // Given a handler that enqueues one job and waits, and another one and does not
    async fn confirm(job: Order, producer: Producer) -> Result<(), EnqueueError> {
        producer.enqueue(Mail { order: job.number }).await?;
        drop(producer.enqueue(Mail { order: job.number + 1 }).submit().await?);
        Ok(())
    }
    let broker = TestBroker::new();

    // When
    testing::run(confirm, order()).broker(&broker).await.assert_done();

    // Then both are there
    broker.assert_enqueued(&Mail { order: 7 });
    broker.assert_enqueued(&Mail { order: 8 });

    // And where the broker refuses, the handler is told, and where there is none, so is the test
    broker.refuse_publishes();
    let refused = testing::run(confirm, order()).broker(&broker).await;
    assert!(refused.error().unwrap().contains("refused"), "{refused}");
    let without = testing::run(confirm, order()).await;
    assert!(without.error().unwrap().contains("`.broker(&broker)`"), "{without}");
}

#[tokio::test]
async fn a_type_that_handles_several_jobs_is_run_for_one() {
    struct Clerk;
    #[async_trait]
    impl Handler<Order> for Clerk {
        type Output = Outcome;
        async fn run(&self, job: Order, _: Context) -> Outcome {
            Outcome::Cancel(format!("order {}", job.number))
        }
    }
    #[async_trait]
    impl Handler<Mail> for Clerk {
        type Output = ();
        async fn run(&self, _: Mail, _: Context) {}
    }

    let ran = testing::run_for(Clerk, order()).await;

    assert_eq!(ran.to_string(), "the handler of `order`: cancelled: order 7");
    testing::run_for(Clerk, Mail { order: 7 }).await.assert_done();
}

#[tokio::test]
async fn a_blocking_handler_runs_on_a_thread_of_its_own() {
    fn print(job: Order, State(here): State<std::thread::ThreadId>) -> Result<(), String> {
        match std::thread::current().id() == here {
            true => Err("it blocks the test".to_owned()),
            false => Err(format!("no paper for {}", job.number)),
        }
    }
    let here = std::thread::current().id();

    let ran = testing::run_blocking(print, order()).state(here).await;

    assert_eq!(ran.error(), Some("no paper for 7"));
}

/// What a test is told that was not written well.
async fn complaint(run: testing::Run) -> String {
    match catch_unwind(AssertUnwindSafe(|| std::future::IntoFuture::into_future(run))) {
        Ok(_) => panic!("it could be run"),
        Err(payload) => *payload.downcast::<String>().unwrap(),
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_said_before_it_is() {
    async fn stately(_: Order, _: State<u8>, _: State<String>) {}

    let lacking = complaint(testing::run(stately, order()).state(1u8).state(2u8)).await;
    let odd = complaint(testing::run(async |_: Order| {}, order()).header("x-death", 1)).await;

    assert!(lacking.starts_with("the handler of `order` cannot be run: there are two states of type `u8`; it takes a state of type `alloc::string::String`"), "{lacking}");
    assert!(
        odd.starts_with("the job `order` cannot be sent: the header name \"x-death\""),
        "{odd}"
    );
}

#[tokio::test]
#[should_panic(expected = "the handler of `order`: failed, to be tried again after 2s: no paper")]
async fn a_job_that_should_be_done_and_is_not_says_why() {
    let fail = async |_: Order| -> Result<(), &str> { Err("no paper") };
    testing::run(fail, order()).await.assert_done();
}

#[tokio::test]
async fn policies_rules_and_expiry_of_a_worker_can_be_tried_on_one_handler() {
    use leveret::{Backoff, RetryPolicy};
    use leveret_worker::{Interruption, Retry};

    let fail = async |_: Order| -> anyhow::Result<()> { Err(std::io::Error::other("no route"))? };
    let run = || testing::run(fail, order());
    let after = |verdict: &Verdict| match verdict {
        Verdict::Retry { after, .. } => *after,
        other => panic!("it became {other:?}"),
    };
    let minute = 60 * SECOND;

    let ran = run().retry(RetryPolicy::new(3, Backoff::fixed("7s"))).await;
    assert_eq!(after(ran.verdict()), 7 * SECOND);
    let ran = run().retry_by(|order: &Order| {
        RetryPolicy::new(
            3,
            Backoff::fixed_of(SECOND * u32::try_from(order.number).expect("small")),
        )
    });
    assert_eq!(after(ran.await.verdict()), 7 * SECOND);
    let ran = run().retry_if(move |_: &std::io::Error| Retry::After(minute)).await;
    assert_eq!(after(ran.verdict()), minute);

    let reason = |verdict: &Verdict| match verdict {
        Verdict::DeadLetter { reason, .. } => *reason,
        other => panic!("it became {other:?}"),
    };
    assert_eq!(
        reason(run().retry_if(|_: &std::io::Error| false).await.verdict()),
        "rejected"
    );
    assert_eq!(reason(run().expires_in(Duration::ZERO).await.verdict()), "expired");
    let too_late = run().retry_rule(move |_| Some(Retry::After(minute))).expires_in(SECOND);
    assert_eq!(reason(too_late.await.verdict()), "expired");

    let endless = async |_: Order| std::future::pending::<()>().await;
    let cancelled = testing::run(endless, order()).interruption(Interruption::Cancel);
    let ran = cancelled.stop_after(Duration::ZERO, Cause::LeaseLost).await;
    assert_eq!(*ran.verdict(), Verdict::GivenBack);
}
