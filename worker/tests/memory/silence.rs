//! Consumers that are dead without anybody having said so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPoint, MemoryBroker};
use leveret::broker::{Argument, Arguments, Broker, Declaration, QueueDeclaration};
use leveret::{Job, Queue, TopologyMode};
use leveret_worker::{Context, State};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::kit::*;

const SLOW: Queue = Queue::new("slow");

/// A job that takes its time.
#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = SLOW, timeout = "20m")]
struct Slow {
    number: u64,
}

async fn run(note: Note, State(probe): State<Probe>, context: Context) {
    probe.run(note.number, &context);
}

async fn take_time(slow: Slow, State(probe): State<Probe>, context: Context) {
    probe.hold(slow.number, &context).await;
}

/// Counts how often the broker is asked after a queue.
fn count_looks(stand: &Stand) -> Arc<AtomicU64> {
    let looks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&looks);
    stand.broker.set_faults(move |point| {
        counted.fetch_add(u64::from(point == FaultPoint::Inspect), Ordering::Relaxed);
        Fault::None
    });
    looks
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_the_broker_has_forgotten_is_replaced_and_counted() {
    // Given a worker that has run a job, and whose consumer the broker then forgets
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(run)).await;
    stand.enqueue([1]).await;
    assert_eq!(watch.started().await, (1, 1));
    stand.broker.forget_consumers("mail");

    // When a job comes
    let since = Instant::now();
    stand.enqueue([2]).await;

    // Then it runs, within three looks, and what was done about it is said
    assert_eq!(watch.started().await, (2, 1));
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
    stand.wait_for_empty("mail").await;
    let health = running.handle.health();
    assert!(health.is_ready(), "{health}");
    assert_eq!(health.silent_consumers("mail"), 1);
    assert!(health.to_string().contains("1 silent consumer replaced"), "{health}");
    let report = running.stop().await;
    assert!(report.to_string().contains("1 silent consumers replaced"), "{report}");
    let mail = report.queue("mail").expect("consumed");
    assert_eq!((mail.completed, mail.silent_consumers, mail.left_unacked), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn jobs_in_hand_are_settled_on_the_channel_of_the_consumer_that_is_replaced() {
    // Given a running job of a consumer that the broker then forgets
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(take_time)).await;
    stand.store(Slow { number: 1 });
    watch.started().await;
    stand.broker.forget_consumers("slow");

    // When others come, and run
    (2..4).for_each(|number| stand.store(Slow { number }));
    assert_eq!([watch.started().await, watch.started().await], [(2, 1), (3, 1)]);
    watch.let_go(3);
    stand.wait_for_empty("slow").await;

    // Then each has run once
    assert!(watch.nothing_started());
    let report = running.stop().await;
    let slow = report.queue("slow").expect("consumed");
    assert_eq!((slow.completed, slow.recognized, slow.silent_consumers), (3, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_whose_replacement_hears_nothing_either_is_replaced_ever_more_rarely() {
    // Given a queue that gives all its jobs to one consumer, another program's, which is busy
    let stand = Stand::on(MemoryBroker::new(), TopologyMode::None);
    let session = stand.broker.connect("another program").await.expect("connected");
    let only_one = Arguments::from([("x-single-active-consumer".to_owned(), Argument::Bool(true))]);
    let declarations = [("mail", only_one), ("mail.suspect", Arguments::new())].map(|(name, arguments)| {
        Declaration::Queue(QueueDeclaration {
            name: name.to_owned(),
            arguments,
        })
    });
    session.declare(&declarations).await.expect("declared");
    let busy = session.consume("mail", 1).await.expect("subscribed");
    (0..2).for_each(|number| stand.store(Note { number }));

    // When a worker waits beside it for a day, and the other ends
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(run)).await;
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    drop(busy);
    let mut ran = [watch.started().await.0, watch.started().await.0];
    ran.sort_unstable();
    assert_eq!(ran, [0, 1]);

    // Then it was replaced no more than every eight minutes
    let replaced = running.stop_mail().await.silent_consumers;
    assert!((100..=185).contains(&replaced), "{replaced}");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_queue_is_asked_after_rarely_and_its_consumer_stays() {
    // Given a worker without a job
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(run)).await;
    let count = count_looks(&stand);

    // When hours pass
    tokio::time::sleep(Duration::from_secs(3 * 3_600)).await;

    // Then each of its two queues was looked at once a minute at the most, and no consumer was replaced
    let asked = count.load(Ordering::Relaxed);
    assert!((200..=2 * 3 * 61).contains(&asked), "{asked}");
    stand.enqueue([1]).await;
    watch.started().await;
    assert_eq!(running.stop_mail().await.silent_consumers, 0);
}

#[tokio::test(start_paused = true)]
async fn while_jobs_flow_the_broker_is_not_asked() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(run)).await;
    let count = count_looks(&stand);
    // Those of the suspects' queue, for which no job comes.
    let of_suspects = 60 + 3;

    for number in 0..360 {
        stand.enqueue([number]).await;
        watch.started().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }

    assert!(
        count.load(Ordering::Relaxed) <= of_suspects,
        "{}",
        count.load(Ordering::Relaxed)
    );
    assert_eq!(running.stop_mail().await.silent_consumers, 0);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_wait_for_full_hands_replace_nobody() {
    // Given two workers with full hands, and jobs that wait for either
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let worker = || stand.worker().state(probe.clone()).register(take_time);
    let first = Running::start(worker().concurrency(&SLOW, 1)).await;
    let second = Running::start(worker().concurrency(&SLOW, 1)).await;
    (0..6).for_each(|number| stand.store(Slow { number }));
    watch.started().await;
    watch.started().await;

    // When they take their time
    tokio::time::sleep(Duration::from_secs(1_100)).await;
    watch.let_go(6);
    stand.wait_for_empty("slow").await;

    // Then no consumer was replaced
    for running in [first, second] {
        let report = running.stop().await;
        assert_eq!(report.queue("slow").map(|slow| slow.silent_consumers), Some(0));
    }
}
