//! Middlewares around attempts and around enqueues.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use leveret::{EnqueueError, EnqueueMiddleware, EnqueueNext, Envelope, Fate, Pending};
use leveret_worker::{Context, Middleware, Next, Outcome, State, async_trait};

use crate::kit::*;

/// Writes its name down when it goes in, and how it went when it comes out.
struct Witness(&'static str, Diary);

#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn write(&self, line: String) {
        self.0.lock().expect("no panic").push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

#[async_trait]
impl Middleware for Witness {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        let (attempt, name) = (context.attempt(), self.0);
        self.1.write(format!("{name} {attempt}"));
        let outcome = next.run(context).await;
        let how = match &outcome {
            outcome if outcome.is_timeout() => "timeout",
            outcome if outcome.is_panic() => "panic",
            Outcome::Failed(_) => "failure",
            _ => "no failure",
        };
        self.1.write(format!("{name} {attempt}: {how}"));
        outcome
    }
}

#[tokio::test]
async fn middlewares_see_every_attempt_in_their_order_and_how_it_ended() {
    // Given a job that fails in another way each time
    let bench = Bench::new(own_queue("witnessed")).await;
    let diary = Diary::default();
    let fail = async |_: Note, context: Context| -> Result<(), &'static str> {
        match context.attempt() {
            1 => panic!("boom"),
            2 => std::future::pending().await,
            _ => Err("no"),
        }
    };
    let builder = bench
        .worker()
        .middleware_for::<Note>(Witness("inner", diary.clone()))
        .middleware(Witness("outer", diary.clone()))
        .register(fail);
    let running = Running::start(builder).await;

    // When
    let job = bench.producer.enqueue(Note { number: 7 }).queue(&bench.queue);
    job.timeout(std::time::Duration::from_millis(300))
        .await
        .expect("stored");

    // Then
    let dead = bench.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-reason"), "failed");
    let expected = ["panic", "timeout", "failure"]
        .iter()
        .enumerate()
        .flat_map(|(at, how)| {
            let attempt = at + 1;
            [
                format!("outer {attempt}"),
                format!("inner {attempt}"),
                format!("inner {attempt}: {how}"),
                format!("outer {attempt}: {how}"),
            ]
        });
    assert_eq!(diary.lines(), expected.collect::<Vec<_>>());
    let report = running.stop_one().await;
    assert_eq!((report.failed, report.retried, report.dead_lettered), (3, 2, 1));
}

/// A job whose id was seen done is not run again.
#[derive(Default)]
struct Idempotent(Mutex<HashSet<String>>);

#[async_trait]
impl Middleware for Idempotent {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        let id = context.id().to_string();
        if self.0.lock().expect("no panic").contains(&id) {
            return Outcome::Done;
        }
        let outcome = next.run(context).await;
        if matches!(outcome, Outcome::Done) {
            self.0.lock().expect("no panic").insert(id);
        }
        outcome
    }
}

#[tokio::test]
async fn a_job_that_was_enqueued_twice_under_one_id_is_done_once() {
    // Given
    let bench = Bench::new(own_queue("idempotent")).await;
    let probe = Probe::new();
    let flaky = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        match context.attempt() {
            1 => Err("not at the first try"),
            _ => Ok(()),
        }
    };
    let builder = bench.worker().state(probe.clone()).middleware(Idempotent::default());
    let running = Running::start(builder.register(flaky).concurrency(&bench.queue, 1)).await;

    // When the same job comes twice, one after the other, and then another
    for (id, runs) in [("twice", 2), ("twice", 2), ("once", 4)] {
        let job = bench.producer.enqueue(Note { number: 7 }).queue(&bench.queue);
        job.id(id).await.expect("stored");
        probe.runs.wait_for(runs).await;
    }

    // Then
    let report = running.stop_one().await;
    assert_eq!(probe.attempts(), [(7, 1), (7, 2), (7, 1), (7, 2)]);
    assert_eq!((report.completed, report.retried, report.left_unacked), (3, 2, 0));
}

/// Says which tenant a job is of, and refuses those of odd numbers.
struct Tenant(Diary);

#[async_trait]
impl EnqueueMiddleware for Tenant {
    async fn enqueue(&self, envelope: Envelope, next: EnqueueNext) -> Result<Pending, EnqueueError> {
        if envelope.body().ends_with(b"3}") {
            return Err(EnqueueError::refuse(&envelope, "three is odd"));
        }
        let diary = self.0.clone();
        let pending = next.run(envelope.with_header("tenant", "eu")?).await?;
        Ok(pending.inspect(move |result| diary.write(format!("{:?}", result.map(Result::is_ok)))))
    }
}

#[tokio::test]
async fn a_middleware_around_enqueues_holds_for_producers_and_for_those_of_handlers() {
    // Given a worker whose handler enqueues, on connections with a middleware
    let bench = Bench::new(own_queue("tenants")).await;
    let diary = Diary::default();
    let rabbit = bench.rabbit.clone().with_middleware(Tenant(diary.clone()));
    let probe = Probe::new();
    let follow = async |note: Note, State(probe): State<Probe>, producer: leveret::Producer, context: Context| {
        let tenant = context.header("tenant").and_then(|tenant| tenant.as_text());
        assert_eq!(tenant, Some("eu"));
        probe.run(note.number, &context);
        match note.number {
            1 => producer.enqueue(Note { number: 2 }).await.map(drop),
            _ => Ok(()),
        }
    };
    // The route makes the handler's producer send its notes to this queue too.
    let builder = leveret_worker::Worker::builder(&rabbit)
        .route::<Note>(bench.queue.clone())
        .state(probe.clone())
        .register(follow);
    let running = Running::start(builder).await;

    // When
    let producer = rabbit.producer().route::<Note>(bench.queue.clone());
    let results = producer.enqueue_all([1, 3].map(|number| Note { number })).await;

    // Then
    probe.runs.wait_for(2).await;
    let refused = results[1].as_ref().expect_err("three is odd");
    assert!(matches!(refused.fate(), Fate::Refused(_)), "{refused}");
    let report = running.stop_one().await;
    assert_eq!((report.completed, report.failed), (2, 0));
    assert_eq!(diary.lines(), ["Some(true)", "Some(true)"]);
}

#[tokio::test]
async fn ten_thousand_enqueues_through_a_middleware_are_pipelined_and_all_stored() {
    let bench = Bench::new(own_queue("many-through")).await;
    let diary = Diary::default();
    let rabbit = bench.rabbit.clone().with_middleware(Tenant(diary.clone()));
    let producer = rabbit.producer().route::<Note>(bench.queue.clone());

    let results = producer
        .enqueue_all((0..10_000).map(|number| Note { number: number * 10 }))
        .await;

    assert!(results.iter().all(Result::is_ok));
    assert_eq!(diary.lines().len(), 10_000);
    bench.wait_for_ready(10_000).await;
}
