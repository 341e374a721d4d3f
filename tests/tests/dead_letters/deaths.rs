//! Each way in which a letter comes to be one: a worker's decision, or the broker's.

use std::future::poll_fn;
use std::time::{Duration, SystemTime};

use lapin::options::{BasicPublishOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use leveret::broker::{ConsumerEvent, Settlement};
use leveret::envelope::{Limits, headers};
use leveret::runtime::Publish;
use leveret::topology::Topology;
use leveret::{
    ConnectOptions, DeadLetter, DeadLetterRecord, DeadLetters, DiedBy, Envelope, Filter, Job, JobId, Queue, Rabbit,
};
use leveret_tests::signal::{eventually, soon};
use leveret_tests::{Node, shared, taker};
use leveret_worker::{JobError, Worker};
use serde::{Deserialize, Serialize};

use crate::kit::Bench;

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "unused", name = "note")]
struct Note {
    number: u64,
}

async fn refuse(note: Note) -> Result<(), JobError> {
    Err(JobError::reject(format!("note {} is wrong", note.number)))
}

fn own(name: &str) -> Queue {
    Queue::named(format!("{name}-{}", JobId::random())).unwrap()
}

/// Enqueues a note, lets a worker refuse it, and reads the letter that becomes of it.
async fn refused(bench: &Bench) -> DeadLetterRecord {
    let enqueue = bench.rabbit.producer().enqueue(Note { number: 7 });
    enqueue.queue(&bench.queue).id("the-note").await.unwrap();
    let worker = Worker::builder(&bench.rabbit)
        .name("refuser")
        .route::<Note>(bench.queue.clone())
        .register(refuse);
    let worker = worker.build().unwrap();
    let (handle, running) = (
        worker.handle(),
        tokio::spawn(worker.run_until(std::future::pending::<()>())),
    );
    let letter = one_letter(bench).await;
    handle.shutdown();
    let _ = soon("the end of the worker", running).await.unwrap().unwrap();
    letter
}

/// The only letter, once it is there.
async fn one_letter(bench: &Bench) -> DeadLetterRecord {
    bench.is_at_rest(&bench.dead(), 1).await;
    let mut listing = bench.letters().list(Filter::all()).await.unwrap();
    assert_eq!(listing.found.len(), 1);
    let letter = listing.found.remove(0);
    assert_eq!((letter.id.as_str(), letter.job.as_deref()), ("the-note", Some("note")));
    assert_eq!(letter.death.queue.as_deref(), Some(bench.queue.name()));
    let age = SystemTime::now()
        .duration_since(letter.death.at.unwrap())
        .unwrap_or_default();
    assert!(age < Duration::from_secs(60), "{age:?}");
    letter
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_gave_up_has_its_record() {
    let bench = Bench::of(own("annotated")).await;

    let letter = refused(&bench).await;

    assert_eq!(letter.death.reason, "rejected");
    assert_eq!(
        letter.death.error.as_deref(),
        Some("the job was rejected: note 7 is wrong")
    );
    let name = Some("refuser".to_owned());
    assert_eq!(letter.death.by, DiedBy::Worker { name });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_was_told_to_move_has_the_broker_s_record() {
    let bench = Bench::of(own("nacked").dead_letter(DeadLetter::Nack)).await;

    let letter = refused(&bench).await;

    assert_eq!(
        (letter.death.reason.as_str(), &letter.death.by),
        ("rejected", &DiedBy::Broker { times: 1 })
    );
    // And a second death there is counted, if it is the same message; sent back to work it is a new one
    bench.letters().redrive(Filter::moved_by_broker()).await.unwrap();
    let jobs = taker::take_all(&bench.rabbit, bench.queue.name()).await;
    assert_eq!(jobs.len(), 1);
    assert!(
        !jobs[0]
            .properties
            .headers
            .keys()
            .any(|name| name.starts_with("x-death"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_delivered_too_often_has_the_broker_s_record() {
    // Given a job whose consumers disappear
    let bench = Bench::of(own("crashing").delivery_limit(1)).await;
    let enqueue = bench.rabbit.producer().enqueue(Note { number: 7 });
    enqueue.queue(&bench.queue).id("the-note").await.unwrap();
    let session = taker::session(&bench.rabbit).await;
    for _ in 0..2 {
        let mut consumer = session.consume(bench.queue.name(), 1).await.unwrap();
        let event = soon("a delivery", poll_fn(|cx| consumer.poll_event(cx))).await;
        assert!(matches!(event, ConsumerEvent::Delivery(_)));
    }

    let letter = one_letter(&bench).await;

    assert_eq!(letter.death.reason, "delivery_limit");
    assert!(matches!(letter.death.by, DiedBy::Broker { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expired_in_the_broker_has_its_record() {
    // Given a job of a foreign producer that set an expiration
    let bench = Bench::of(own("expiring")).await;
    let channel = channel(bench.node).await;
    let properties = BasicProperties::default()
        .with_message_id("the-note".into())
        .with_type("note".into())
        .with_expiration("1".into());
    let options = BasicPublishOptions::default();
    let queue = bench.queue.name().into();
    let publish = channel.basic_publish("".into(), queue, options, b"{\"number\":7}", properties);
    publish.await.unwrap().await.unwrap();

    let letter = one_letter(&bench).await;

    assert_eq!(
        (letter.death.reason.as_str(), &letter.death.by),
        ("expired", &DiedBy::Broker { times: 1 })
    );
    // Sent back to work it does not expire again
    bench.letters().redrive(Filter::all()).await.unwrap();
    assert_eq!(taker::take_all(&bench.rabbit, bench.queue.name()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_whose_dead_letter_queue_is_gone_is_lost_and_can_be_sent_back_from_there() {
    // Given a prefix of this test's own, and a queue whose dead-letter queue was deleted
    let node = shared().await;
    let options: ConnectOptions = node.amqp_url().parse().unwrap();
    let prefix = format!("prefix-{}", JobId::random());
    let rabbit = Rabbit::connect(options.prefix(&prefix).unwrap()).await.unwrap();
    let queue = own("orphan").dead_letter(DeadLetter::Nack);
    rabbit.declare(&queue).await.unwrap();
    rabbit
        .producer()
        .enqueue(Note { number: 7 })
        .queue(&queue)
        .id("the-note")
        .await
        .unwrap();
    let dead = format!("{}.dead", queue.name());
    let deleting = channel(node).await;
    deleting
        .queue_delete(dead.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();

    // When its job is rejected
    reject(&rabbit, queue.name()).await;

    // Then it is among the lost, which says where it belongs
    let lost = DeadLetters::lost(&rabbit);
    let session = taker::session(&rabbit).await;
    eventually("a lost letter", async || {
        session.inspect(lost.queue_name()).await.unwrap().ready == 1
    })
    .await;
    let listing = lost.list(Filter::queue(queue.name())).await.unwrap();
    assert_eq!(
        (listing.found[0].id.as_str(), listing.found[0].death.reason.as_str()),
        ("the-note", "rejected")
    );
    // And it goes back there
    let report = lost.redrive(Filter::all()).await.unwrap();
    assert_eq!(report.redriven[0].queue, queue.name(), "{report}");
    assert_eq!(taker::take_all(&rabbit, queue.name()).await.len(), 1);
    assert_eq!(taker::depth(&rabbit, lost.queue_name()).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_job_whose_queue_was_deleted_is_lost_and_knows_where_it_belongs() {
    // Given a prefix of this test's own, and a job that waits for a queue which is deleted meanwhile
    let node = shared().await;
    let options: ConnectOptions = node.amqp_url().parse().unwrap();
    let prefix = format!("prefix-{}", JobId::random());
    let rabbit = Rabbit::connect(options.prefix(&prefix).unwrap()).await.unwrap();
    let queue = own("eu.gone");
    let envelope = Envelope::new(Note { number: 7 }).unwrap().with_queue(queue.clone());
    let envelope = envelope.with_id("the-note".parse().unwrap());
    let mut message = envelope.to_message(&Limits::default()).unwrap();
    // As of every job that waits; but the wait begins when it is stored, however long the ladder took to be made.
    let origin = (headers::ORIGIN.to_owned(), queue.name().into());
    message.properties.headers.extend([origin]);
    let publish = Publish {
        target: Topology::new(&prefix).delayed(&queue, Duration::from_millis(700)),
        message,
        timeout: Duration::from_secs(30),
    };
    rabbit.enqueues().publish(publish).await.await.unwrap();
    let deleting = channel(node).await;
    deleting
        .queue_delete(queue.name().into(), QueueDeleteOptions::default())
        .await
        .unwrap();

    // When it is due, then it is among the lost, and says where the broker moved it last
    let lost = DeadLetters::lost(&rabbit);
    let session = taker::session(&rabbit).await;
    eventually("a lost job", async || {
        session.inspect(lost.queue_name()).await.unwrap().ready == 1
    })
    .await;
    let listing = lost.list(Filter::all()).await.unwrap();
    assert_eq!(listing.found[0].death.reason, "expired");
    assert_eq!(listing.found[0].death.origin.as_deref(), Some(queue.name()));
    // And it goes where it belongs, once that is there: not before
    let refused = lost.redrive(Filter::all()).await.unwrap();
    assert_eq!((refused.redriven.len(), refused.refused.len()), (0, 1), "{refused}");
    let report = lost.knowing(&queue).redrive(Filter::all()).await.unwrap();
    assert_eq!(report.redriven[0].queue, queue.name(), "{report}");
    assert_eq!(taker::take_all(&rabbit, queue.name()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_carries_letters_of_both_kinds_to_another_queue() {
    // Given a letter of each kind
    let (ours, theirs) = (
        Bench::of(own("ours")).await,
        Bench::of(own("theirs").dead_letter(DeadLetter::Nack)).await,
    );
    let (by_worker, by_broker) = (refused(&ours).await, refused(&theirs).await);

    // When both are exported and imported elsewhere
    let target = Bench::of(own("target")).await;
    for bench in [&ours, &theirs] {
        let text = bench.letters().export(Filter::all()).await.unwrap().to_text();
        let report = target.letters().import(text).even_again().await.unwrap();
        assert_eq!(report.stored(), 1, "{report}");
    }

    // Then they say what they said, and the body is the same
    let letters = target.letters().letters(Filter::all()).await.unwrap().found;
    for (letter, before) in letters.iter().zip([by_worker, by_broker]) {
        assert_eq!(
            (&letter.record.death.reason, &letter.record.death.queue),
            (&before.death.reason, &before.death.queue)
        );
        assert_eq!(letter.record.hop, before.hop + 1);
        assert_eq!(letter.message.body, br#"{"number":7}"#.as_slice());
    }
    assert_eq!(letters.len(), 2);
}

async fn reject(rabbit: &Rabbit, queue: &str) {
    let mut consumer = taker::session(rabbit).await.consume(queue, 1).await.unwrap();
    match soon("a delivery", poll_fn(|cx| consumer.poll_event(cx))).await {
        ConsumerEvent::Delivery(delivery) => consumer.settle(delivery.lease, Settlement::DeadLetter).unwrap(),
        other => panic!("{other:?}"),
    }
    consumer.close().await;
}

async fn channel(node: &Node) -> Channel {
    let connection = Connection::connect(&node.amqp_url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    // It lives as long as the test.
    std::mem::forget(connection);
    channel
}
