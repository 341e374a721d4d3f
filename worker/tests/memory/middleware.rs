//! Middlewares around attempts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::Job;
use leveret_worker::{Context, Middleware, Next, Outcome, State, Worker, async_trait};
use serde::{Deserialize, Serialize};

use crate::kit::*;

/// What happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn write(&self, line: impl Into<String>) {
        self.0.lock().expect("no panic").push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

/// Writes down that it goes in, and what comes out.
struct Named(&'static str, Diary);

#[async_trait]
impl Middleware for Named {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        self.1.write(format!("{} in", self.0));
        let outcome = next.run(context).await;
        self.1.write(format!("{} out", self.0));
        outcome
    }
}

/// A middleware from a function of the outcome.
struct After<F>(F);

#[async_trait]
impl<F: Fn(Outcome) -> Outcome + Send + Sync + 'static> Middleware for After<F> {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        (self.0)(next.run(context).await)
    }
}

/// Writes down how the engine tells the outcomes apart.
fn questions(diary: &Diary) -> impl Middleware + use<> {
    let diary = diary.clone();
    After(move |outcome: Outcome| {
        let answers = [
            (outcome.is_timeout(), "timeout"),
            (outcome.is_panic(), "panic"),
            (outcome.is_undecodable(), "undecodable"),
            (outcome.is_interrupted(), "interrupted"),
            (matches!(outcome, Outcome::Failed(_)), "failed"),
        ];
        let yes: Vec<_> = answers.iter().filter(|(yes, _)| *yes).map(|(_, word)| *word).collect();
        diary.write(yes.join(" "));
        outcome
    })
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = MAIL, timeout = "30s")]
struct Card {}

#[tokio::test(start_paused = true)]
async fn middlewares_run_in_the_order_written_those_of_a_job_type_inside() {
    // Given
    let stand = Stand::new();
    let diary = Diary::default();
    let write = async |_: Note, State(diary): State<Diary>| diary.write("note");
    let builder = stand
        .worker()
        .state(diary.clone())
        .middleware_for::<Note>(Named("own", diary.clone()))
        .middleware(Named("first", diary.clone()))
        .middleware(Arc::new(Named("second", diary.clone())))
        .register(write)
        .register(async |_: Card, State(diary): State<Diary>| diary.write("card"))
        .concurrency(&MAIL, 1);
    let running = Running::start(builder).await;

    // When
    stand.enqueue([7]).await;
    stand.producer.enqueue(Card {}).await.expect("stored");
    stand.wait_for_empty("mail").await;

    // Then
    let note = [
        "first in",
        "second in",
        "own in",
        "note",
        "own out",
        "second out",
        "first out",
    ];
    let card = ["first in", "second in", "card", "second out", "first out"];
    assert_eq!(diary.lines(), [&note[..], &card[..]].concat());
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_middleware_sees_how_a_handler_failed_and_the_verdict_sees_the_same() {
    // Given a handler that fails in every way
    let stand = Stand::new();
    let diary = Diary::default();
    let fail = async |note: Note, context: Context| -> Result<(), String> {
        match note.number {
            0 => panic!("no such number"),
            1 => std::future::pending().await,
            2 => Err("own fault".to_owned()),
            _ => Err(format!("{:?}", context.cancelled().await)),
        }
    };
    let builder = stand.worker().middleware(questions(&diary)).register(fail);
    let running = Running::start(builder.concurrency(&MAIL, 1)).await;

    // When
    for number in 0..3 {
        let job = stand.producer.enqueue(Note { number }).max_attempts(1);
        job.await.expect("stored");
    }
    stand.foreign(Some("note"), b"no JSON");
    let dead = stand.dead_letters(4).await;
    stand.enqueue([3]).await;
    settled_down().await;
    let report = running.stop_mail().await;

    // Then
    let expected = [
        "panic failed",
        "timeout failed",
        "failed",
        "undecodable failed",
        "interrupted failed",
    ];
    assert_eq!(diary.lines(), expected);
    let reasons: Vec<_> = dead.iter().map(|dead| text(dead, "leveret-failure-reason")).collect();
    assert_eq!(reasons, ["panicked", "timed_out", "failed", "undecodable"]);
    assert_eq!((report.interrupted, report.failed), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn what_a_middleware_returns_stands() {
    // Given one that forgives, and one that wraps what it does not forgive
    #[derive(Debug)]
    struct Wrapped(leveret_worker::BoxError);
    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("wrapped")
        }
    }
    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&*self.0)
        }
    }
    let stand = Stand::new();
    let forgive = After(|outcome| match outcome {
        Outcome::Failed(error) if error.to_string() == "forgivable" => Outcome::Done,
        Outcome::Failed(error) => Outcome::Failed(Box::new(Wrapped(error))),
        other => other,
    });
    let fail = async |note: Note| -> Result<(), String> {
        match note.number {
            0 => Err("forgivable".to_owned()),
            1 => panic!("boom"),
            _ => Err("unforgivable".to_owned()),
        }
    };
    let builder = stand.worker().middleware(forgive).register(fail).concurrency(&MAIL, 1);
    let running = Running::start(builder).await;

    // When
    for number in 0..3 {
        let job = stand.producer.enqueue(Note { number }).max_attempts(1);
        job.await.expect("stored");
    }

    // Then the wrapping hides nothing from the verdict
    let dead = stand.dead_letters(2).await;
    let told: Vec<_> = dead
        .iter()
        .map(|dead| {
            (
                text(dead, "leveret-failure-reason"),
                text(dead, "leveret-failure-error"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("panicked", "the handler panicked: boom"),
            ("failed", "wrapped: unforgivable")
        ]
    );
    assert_eq!(running.stop_mail().await.completed, 1);
}

/// Misbehaves before or after the handler.
struct Unruly(&'static str);

#[async_trait]
impl Middleware for Unruly {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        match self.0 {
            "hang before" => std::future::pending().await,
            "panic before" => panic!("before"),
            _ => {}
        }
        let outcome = next.run(context).await;
        match self.0 {
            "hang after" => std::future::pending().await,
            "panic after" => panic!("after"),
            _ => outcome,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_middleware_that_hangs_or_panics_keeps_no_slot() {
    for (way, reason, error) in [
        (
            "hang before",
            "timed_out",
            "the attempt ran longer than its limit of 30s",
        ),
        (
            "hang after",
            "timed_out",
            "the attempt ran longer than its limit of 30s",
        ),
        ("panic before", "panicked", "the handler panicked: before"),
        ("panic after", "panicked", "the handler panicked: after"),
    ] {
        // Given one slot
        let stand = Stand::new();
        let builder = stand.worker().middleware(Unruly(way)).register(async |_: Note| {});
        let running = Running::start(builder.concurrency(&MAIL, 1)).await;

        // When two jobs come
        for number in 0..2 {
            let job = stand.producer.enqueue(Note { number }).max_attempts(1);
            job.await.expect("stored");
        }

        // Then the second gets its turn
        for dead in stand.dead_letters(2).await {
            assert_eq!(text(&dead, "leveret-failure-reason"), reason, "{way}");
            assert_eq!(text(&dead, "leveret-failure-error"), error, "{way}");
        }
        drop(running);
    }
}

/// Runs the handler in a task of its own, and does not wait for it.
struct Detached(Mutex<Option<tokio::task::JoinHandle<Outcome>>>);

#[async_trait]
impl Middleware for Detached {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        *self.0.lock().expect("no panic") = Some(tokio::spawn(next.run(context)));
        Outcome::Done
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_can_be_moved_into_a_task_where_its_limit_still_holds() {
    let stand = Stand::new();
    let detached = Arc::new(Detached(Mutex::default()));
    let endless = async |_: Note| std::future::pending::<()>().await;
    let running = Running::start(stand.worker().middleware(detached.clone()).register(endless)).await;

    stand.enqueue([7]).await;
    stand.wait_for_empty("mail").await;

    let task = detached.0.lock().expect("no panic").take().expect("it has run");
    let outcome = tokio::time::timeout(Duration::from_secs(31), task).await;
    assert!(outcome.expect("the limit is 30 s").expect("no panic").is_timeout());
    assert_eq!(running.stop_mail().await.completed, 1);
}

/// Tries once more at once.
struct Again;

#[async_trait]
impl Middleware for Again {
    async fn attempt(&self, context: Context, next: Next) -> Outcome {
        match next.clone().run(context.clone()).await {
            Outcome::Failed(_) => next.run(context).await,
            outcome => outcome,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_can_be_run_again() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let flaky = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        Err("no".to_owned())
    };
    let running = Running::start(stand.worker().state(probe).middleware(Again).register(flaky)).await;

    let job = stand.producer.enqueue(Note { number: 7 });
    job.max_attempts(1).await.expect("stored");

    stand.dead_letters(1).await;
    assert_eq!([watch.started().await, watch.started().await], [(7, 1), (7, 1)]);
    assert!(watch.nothing_started());
    drop(running);
}

#[test]
fn a_middleware_for_a_job_without_a_handler_is_refused() {
    let built = Worker::builder("memory://")
        .register(async |_: Note| {})
        .middleware_for::<Card>(Again)
        .build();
    let error = built.expect_err("no handler for a card").to_string();
    assert!(error.contains("`card` has a middleware, but no handler"), "{error}");
}
