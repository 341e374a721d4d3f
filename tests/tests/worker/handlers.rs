//! Forms of handlers, own extractors, routes, and what is set for one job.

use std::time::Duration;

use leveret::{Job, Producer};
use leveret_worker::{BoxError, Context, FromContext, Handler, Outcome, Requirements, State, Worker, async_trait};
use serde::{Deserialize, Serialize};

use crate::kit::*;

/// Whose job it is, from a header.
struct Tenant(String);

impl FromContext for Tenant {
    fn requires(requirements: &mut Requirements) {
        requirements.state::<Probe>();
    }

    async fn from_context(context: &Context) -> Result<Self, BoxError> {
        match context.header("tenant").and_then(|tenant| tenant.as_text()) {
            Some(tenant) => Ok(Self(tenant.to_owned())),
            None => Err("the job names no tenant".into()),
        }
    }
}

#[tokio::test]
async fn an_own_extractor_serves_async_and_blocking_handlers_and_its_error_fails_the_attempt() {
    let (bench, other) = (
        Bench::new(own_queue("extracted")).await,
        own_queue("extracted-blocking"),
    );
    let asynchronous = async |_: Note, Tenant(tenant): Tenant| Outcome::Cancel(tenant);
    let blocking = |_: Card, Tenant(tenant): Tenant| Outcome::Cancel(tenant);
    // What it requires is checked before the first job.
    let missing = bench.worker().register(asynchronous).build().expect_err("no probe");
    assert!(missing.to_string().contains("Probe"), "{missing}");
    let builder = bench.worker().state(Probe::new()).register(asynchronous);
    let builder = builder.register_blocking(blocking).route::<Card>(other.clone());
    let running = Running::start(builder).await;

    let note = || bench.producer.enqueue(Note { number: 1 }).queue(&bench.queue);
    note().header("tenant", "eu").await.expect("stored");
    let card = bench.producer.enqueue(Card {}).queue(&other);
    card.header("tenant", "us").await.expect("stored");
    note().max_attempts(1).await.expect("stored");

    let dead = bench.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-error"), "the job names no tenant");
    let report = running.stop().await;
    let cancelled = |queue: &leveret::Queue| report.queue(queue.name()).map(|queue| queue.cancelled);
    assert_eq!((cancelled(&bench.queue), cancelled(&other)), (Some(1), Some(1)));
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "unused", timeout = "60s")]
struct Card {}

/// One type for two jobs.
#[derive(Clone)]
struct Clerk(Probe);

#[async_trait]
impl Handler<Note> for Clerk {
    type Output = ();

    async fn run(&self, note: Note, context: Context) {
        self.0.run(note.number, &context);
    }
}

#[async_trait]
impl Handler<Card> for Clerk {
    type Output = Result<(), String>;

    async fn run(&self, _: Card, context: Context) -> Self::Output {
        self.0.run(100, &context);
        Ok(())
    }
}

#[tokio::test]
async fn one_type_handles_two_jobs() {
    let bench = Bench::new(own_queue("clerk")).await;
    let clerk = Clerk(Probe::new());
    let builder = bench
        .worker()
        .register_for::<Note>(clerk.clone())
        .register_for::<Card>(clerk.clone());
    let running = Running::start(builder.route::<Card>(bench.queue.clone()).concurrency(&bench.queue, 1)).await;

    bench.enqueue([7]).await;
    bench
        .producer
        .enqueue(Card {})
        .queue(&bench.queue)
        .await
        .expect("stored");
    clerk.0.runs.wait_for(2).await;

    assert_eq!(clerk.0.attempts(), [(7, 1), (100, 1)]);
    assert_eq!(running.stop_one().await.completed, 2);
}

#[tokio::test]
async fn a_route_on_both_sides_moves_a_job_type_to_a_queue_named_at_run_time() {
    // Given two tenants, each with queues of its own
    let bench = Bench::new(own_queue("unrouted")).await;
    for tenant in ["eu", "us"] {
        let (notes, cards) = (
            own_queue(&format!("{tenant}-notes")),
            own_queue(&format!("{tenant}-cards")),
        );
        let probe = Probe::new();
        let note = async |note: Note, State(probe): State<Probe>, producer: Producer, context: Context| {
            probe.run(note.number, &context);
            producer.enqueue(Card {}).await.map(drop)
        };
        let card = async |_: Card, State(probe): State<Probe>, context: Context| probe.run(100, &context);
        let builder = Worker::builder(&bench.rabbit)
            .state(probe.clone())
            .register(note)
            .register(card)
            .route::<Note>(notes.clone())
            .route::<Card>(cards.clone());
        let running = Running::start(builder).await;

        // When its producer enqueues, and its handler after it
        let producer = bench.producer.clone().route::<Note>(notes.clone());
        producer.enqueue(Note { number: 7 }).await.expect("stored");

        // Then both come to where the worker listens
        probe.runs.wait_for(2).await;
        assert_eq!(probe.attempts(), [(7, 1), (100, 1)]);
        let report = running.stop().await;
        for queue in [notes, cards] {
            assert_eq!(
                report.queue(queue.name()).map(|queue| queue.completed),
                Some(1),
                "{queue}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_set_when_a_job_is_enqueued_wins_over_its_type_on_every_attempt() {
    // Given a type with three attempts of a minute each
    let bench = Bench::new(own_queue("overridden")).await;
    let probe = Probe::new();
    let slow = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        assert_eq!(context.max_attempts(), 5);
        assert_eq!(context.timeout(), Duration::from_millis(80));
        assert_eq!(context.correlation_id(), Some("order-7"));
        assert_eq!(context.header("tenant").and_then(|tenant| tenant.as_text()), Some("eu"));
        assert_eq!(context.id().as_str(), "note-7");
        std::future::pending::<()>().await;
    };
    let running = Running::start(bench.worker().state(probe.clone()).register(slow)).await;

    // When
    let job = bench.producer.enqueue(Note { number: 7 }).queue(&bench.queue);
    let job = job.id("note-7").max_attempts(5).timeout(Duration::from_millis(80));
    job.correlation_id("order-7")
        .header("tenant", "eu")
        .await
        .expect("stored");

    // Then all five attempts had it so, and the dead letter says which limit it was
    let dead = bench.dead_letters(1).await.remove(0);
    assert_eq!(
        probe.attempts(),
        (1..=5).map(|attempt| (7, attempt)).collect::<Vec<_>>()
    );
    assert_eq!(text(&dead, "leveret-failure-reason"), "timed_out");
    assert!(text(&dead, "leveret-failure-error").contains("80ms"));
    running.stop_one().await;
}
