//! Middlewares around enqueues, and routes, on the broker in memory.

#![cfg(feature = "memory")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPoint, MemoryBroker};
use leveret::{
    ConnectOptions, EnqueueError, EnqueueMiddleware, EnqueueNext, Envelope, Fate, HeaderValue, Job, Pending, Queue,
    Rabbit, Why, async_trait,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct Note {
    number: u64,
}

/// A broker, and the connections of one process to it.
fn stand() -> (MemoryBroker, Rabbit) {
    let broker = MemoryBroker::new();
    let rabbit = Rabbit::with_broker(Arc::new(broker.clone()), ConnectOptions::default()).expect("in a runtime");
    (broker, rabbit)
}

#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Writes down that it goes in and out, and its name into a header.
struct Named(&'static str, Diary);

#[async_trait]
impl EnqueueMiddleware for Named {
    async fn enqueue(&self, envelope: Envelope, next: EnqueueNext) -> Result<Pending, EnqueueError> {
        self.1.write(format!("{} in", self.0));
        let pending = next.run(envelope.with_header(self.0, true)?).await;
        self.1.write(format!("{} out", self.0));
        pending
    }
}

/// What a middleware does wrong, or slowly, or with an opinion.
enum Way {
    Refuse,
    BadHeader,
    HangBefore,
    HangAfter,
    RefuseAfter,
    Watch(Diary),
    AwaitTheConfirm,
}

#[async_trait]
impl EnqueueMiddleware for Way {
    async fn enqueue(&self, envelope: Envelope, next: EnqueueNext) -> Result<Pending, EnqueueError> {
        let refusal = EnqueueError::refuse(&envelope, "no credit");
        let envelope = match self {
            Way::Refuse => return Err(refusal),
            Way::BadHeader => envelope.with_header("leveret-mine", 1)?,
            Way::HangBefore => std::future::pending().await,
            _ => envelope,
        };
        let mut pending = next.run(envelope).await?;
        match self {
            Way::HangAfter => std::future::pending().await,
            Way::RefuseAfter => Err(refusal),
            Way::AwaitTheConfirm => {
                (&mut pending).await?;
                Ok(pending)
            }
            Way::Watch(diary) => {
                let diary = diary.clone();
                Ok(pending.inspect(move |result| {
                    diary.write(match result {
                        Some(Ok(_)) => "stored".to_owned(),
                        Some(Err(error)) => format!("{:?}", error.fate()),
                        None => "nobody waited".to_owned(),
                    });
                }))
            }
            _ => Ok(pending),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn middlewares_run_in_the_order_written_around_every_kind_of_enqueue() {
    // Given one on the connections, and two on a producer
    let (broker, rabbit) = stand();
    let diary = Diary::default();
    let rabbit = rabbit.with_middleware(Named("first", diary.clone()));
    let plain = rabbit.producer();
    let producer = plain
        .clone()
        .with_middleware(Named("second", diary.clone()))
        .with_middleware(Arc::new(Named("third", diary.clone())));
    let round = [
        "first in",
        "second in",
        "third in",
        "third out",
        "second out",
        "first out",
    ];

    // When
    producer.enqueue(Note { number: 1 }).await.expect("stored");
    assert_eq!(diary.lines(), round);
    let envelope = Envelope::new(Note { number: 2 }).unwrap();
    producer.enqueue_envelope(envelope).await.expect("stored");
    let results = producer.enqueue_all([Note { number: 3 }]).await;
    assert!(results[0].is_ok());
    producer
        .try_enqueue(Note { number: 4 })
        .expect("taken")
        .await
        .expect("stored");
    plain.enqueue(Note { number: 5 }).await.expect("stored");

    // Then
    assert_eq!(diary.lines().len(), 4 * round.len() + 2);
    let headers = |at: usize| {
        let messages = broker.messages("mail");
        let all = &messages[at].properties.headers;
        ["first", "second", "third"].map(|name| all.get(name) == Some(&HeaderValue::Bool(true)))
    };
    for at in 0..4 {
        assert_eq!(headers(at), [true; 3]);
    }
    assert_eq!(
        headers(4),
        [true, false, false],
        "a middleware is only on its handle and its clones"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_clear_and_nothing_is_sent() {
    let (broker, rabbit) = stand();
    for (way, words) in [(Way::Refuse, "no credit"), (Way::BadHeader, "leveret-mine")] {
        let producer = rabbit.producer().with_middleware(way);

        let error = producer
            .enqueue(Note { number: 7 })
            .id("note-7")
            .await
            .expect_err("refused");
        let given_back = producer.try_enqueue(Note { number: 8 }).expect_err("refused");

        assert!(matches!(error.fate(), Fate::Refused(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(given_back.error.to_string().contains(words));
        assert_eq!(given_back.job, Note { number: 8 });
        if error.is_refused_by_middleware() {
            assert_eq!(error.fate(), Fate::Refused(Why::Middleware("no credit".to_owned())));
            assert!(
                error
                    .to_string()
                    .starts_with("job `note` note-7 for queue 'mail' was refused"),
                "{error}"
            );
        }
    }
    rabbit.producer().enqueue(Note { number: 9 }).await.expect("stored");
    assert_eq!(broker.messages("mail").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_middleware_that_hangs_ends_with_the_confirm_timeout() {
    let (broker, rabbit) = stand();
    for (way, fate, stored) in [(Way::HangBefore, Fate::NotSent, 0), (Way::HangAfter, Fate::Unknown, 1)] {
        let producer = rabbit.producer().with_middleware(way);

        let error = producer
            .enqueue(Note { number: 7 })
            .id("note-7")
            .confirm_timeout(Duration::from_secs(3))
            .await
            .expect_err("it hangs");

        assert_eq!(error.fate(), fate, "{error}");
        assert_eq!(error.id().map(ToString::to_string).as_deref(), Some("note-7"));
        assert_eq!(broker.messages("mail").len(), stored);
    }
}

#[tokio::test(start_paused = true)]
async fn once_accepted_an_error_of_a_middleware_is_no_refusal() {
    let (broker, rabbit) = stand();
    let producer = rabbit.producer().with_middleware(Way::RefuseAfter);

    let error = producer.enqueue(Note { number: 7 }).await.expect_err("its error");

    assert_eq!(error.fate(), Fate::Unknown, "{error}");
    broker.wait_for_depth("mail", |mail| mail.ready == 1).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_enqueue_after_acceptance_changes_nothing() {
    // Given an enqueue whose middleware hangs once the ledger has the job
    let (broker, rabbit) = stand();
    let producer = rabbit.producer().with_middleware(Way::HangAfter);
    let enqueue = tokio::spawn(producer.enqueue(Note { number: 7 }).into_future());
    broker.wait_for_depth("mail", |mail| mail.ready == 1).await;

    // When it is dropped
    enqueue.abort();
    assert!(enqueue.await.is_err_and(|error| error.is_cancelled()));

    // Then
    assert_eq!(broker.messages("mail").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_middleware_that_has_to_wait_gives_a_try_enqueue_back() {
    let (broker, rabbit) = stand();
    let producer = rabbit.producer().with_middleware(Way::HangBefore);
    let given_back = producer.try_enqueue(Note { number: 7 }).expect_err("it waits");
    assert!(given_back.error.is_not_ready());
    assert_eq!(
        (given_back.error.fate(), given_back.job),
        (Fate::NotSent, Note { number: 7 })
    );

    // Where it waits afterwards, the job is on its way.
    let producer = rabbit.producer().with_middleware(Way::AwaitTheConfirm);
    let given_back = producer.try_enqueue(Note { number: 8 }).expect_err("it waits");
    assert_eq!(given_back.error.fate(), Fate::Unknown);
    broker.wait_for_depth("mail", |mail| mail.ready == 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_once_how_it_ended_or_that_nobody_waited() {
    let (broker, rabbit) = stand();
    let diary = Diary::default();
    let producer = rabbit.producer().with_middleware(Way::Watch(diary.clone()));

    producer.enqueue(Note { number: 1 }).await.expect("stored");
    drop(producer.enqueue(Note { number: 2 }).submit().await.expect("taken"));
    broker.set_faults(|point| match point {
        FaultPoint::Publish => Fault::Nack,
        _ => Fault::None,
    });
    producer.enqueue(Note { number: 3 }).await.expect_err("nacked");

    assert_eq!(diary.lines(), ["stored", "nobody waited", "Refused(Nacked)"]);
}

#[tokio::test(start_paused = true)]
async fn many_jobs_are_on_the_wire_together_through_middlewares_too() {
    // Given a broker that answers nothing for now
    let (broker, rabbit) = stand();
    let diary = Diary::default();
    let producer = rabbit.producer().with_middleware(Named("seen", diary.clone()));
    producer.enqueue(Note { number: 0 }).await.expect("stored");
    broker.set_faults(|point| match point {
        FaultPoint::Publish => Fault::DelayAnswer(Duration::from_secs(1)),
        _ => Fault::None,
    });

    // When
    let began = tokio::time::Instant::now();
    let results = producer.enqueue_all((1..=50).map(|number| Note { number })).await;

    // Then all have waited for it together
    assert!(results.iter().all(Result::is_ok));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(diary.lines().len(), 102);
}

#[tokio::test(start_paused = true)]
async fn a_route_counts_for_its_job_type_and_a_queue_of_the_enqueue_wins() {
    // Given
    #[derive(Serialize, Deserialize, Job)]
    #[job(queue = "mail")]
    struct Card {}
    let (broker, rabbit) = stand();
    let queue = |name: &str| Queue::named(name.to_owned()).unwrap();
    let shared = rabbit.clone().route::<Card>(queue("cards"));
    let producer = shared.producer().route::<Note>(queue("staging"));

    // When
    producer.enqueue(Note { number: 1 }).await.expect("stored");
    producer
        .try_enqueue(Note { number: 2 })
        .expect("taken")
        .await
        .expect("stored");
    producer
        .enqueue(Note { number: 3 })
        .queue(&queue("special"))
        .await
        .expect("stored");
    producer.enqueue(Card {}).await.expect("stored");
    let envelope = Envelope::new(Note { number: 4 }).unwrap();
    producer.enqueue_envelope(envelope).await.expect("stored");
    rabbit.producer().enqueue(Note { number: 5 }).await.expect("stored");

    // Then
    for (queue, expected) in [("staging", 2), ("special", 1), ("cards", 1), ("mail", 2)] {
        assert_eq!(broker.messages(queue).len(), expected, "{queue}");
    }
}

/// Moves the rest of the enqueue into a task, which goes on whatever becomes of the caller.
struct Detached(Arc<tokio::sync::Notify>);

#[async_trait]
impl EnqueueMiddleware for Detached {
    async fn enqueue(&self, envelope: Envelope, next: EnqueueNext) -> Result<Pending, EnqueueError> {
        let go = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            go.notified().await;
            next.run(envelope).await
        });
        task.await.expect("no panic")
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_called_not_sent_is_not_sent_by_a_task_that_goes_on() {
    // Given a middleware whose task is slower than the caller's patience
    let (broker, rabbit) = stand();
    let go = Arc::new(tokio::sync::Notify::new());
    rabbit.declare(&Note::QUEUE).await.unwrap();
    let producer = rabbit.producer().with_middleware(Detached(Arc::clone(&go)));

    // When callers give up in every way, and the tasks go on afterwards
    let late = producer
        .enqueue(Note { number: 1 })
        .confirm_timeout(Duration::from_secs(1));
    assert_eq!(late.await.unwrap_err().fate(), Fate::NotSent);
    assert_eq!(
        producer.try_enqueue(Note { number: 2 }).unwrap_err().error.fate(),
        Fate::NotSent
    );
    let dropped = producer.enqueue(Note { number: 3 });
    assert!(
        tokio::time::timeout(Duration::from_secs(1), dropped.into_future())
            .await
            .is_err()
    );
    for _ in 0..3 {
        go.notify_one();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    rabbit.close().await;

    // Then nothing of theirs is in the broker
    assert_eq!(broker.depth("mail").expect("declared").ready, 0);
}

/// Enqueues a job of its own once the other is accepted, and fails with that.
struct Audited(leveret::Producer);

#[async_trait]
impl EnqueueMiddleware for Audited {
    async fn enqueue(&self, envelope: Envelope, next: EnqueueNext) -> Result<Pending, EnqueueError> {
        let pending = next.run(envelope).await?;
        let audit = self.0.enqueue(Note { number: 100 }).id("audit");
        audit.confirm_timeout(Duration::from_secs(1)).await?;
        Ok(pending)
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_another_job_is_not_taken_for_this_ones() {
    // Given a middleware whose own job cannot be sent, because there is no connection
    let (broker, rabbit) = stand();
    rabbit.declare(&Note::QUEUE).await.unwrap();
    broker.refuse_connections(true);
    broker.drop_connections();
    let producer = rabbit.producer().with_middleware(Audited(rabbit.producer()));

    // When a job is enqueued
    let error = producer.enqueue(Note { number: 7 }).id("mine").await.unwrap_err();

    // Then what is told is told of that job: it is in the ledger, and on its way
    assert_eq!(error.fate(), Fate::Unknown);
    assert_eq!(error.id().map(|id| id.as_str()), Some("mine"));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_finds_no_room_in_time_is_not_called_handed_over() {
    // Given a ledger with room for one job, which waits for a connection
    let broker = MemoryBroker::new();
    broker.refuse_connections(true);
    let options = ConnectOptions::default().ledger_jobs(1);
    let rabbit = Rabbit::with_broker(Arc::new(broker), options).expect("in a runtime");
    let producer = rabbit.producer();
    let first = producer
        .enqueue(Note { number: 1 })
        .submit()
        .await
        .expect("there is room");

    // When another is submitted, then its caller learns that the ledger never had it
    let second = producer
        .enqueue(Note { number: 2 })
        .confirm_timeout(Duration::from_secs(1));
    assert_eq!(second.submit().await.unwrap_err().fate(), Fate::NotSent);
    drop(first);
}
