//! Many jobs, many queues, few slots.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::{Job, Queue};
use leveret_worker::{Context, State, async_trait};
use serde::{Deserialize, Serialize};

use crate::kit::*;

const IMAGES: Queue = Queue::new("images");

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = MAIL, timeout = "30s")]
struct Postcard {}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = IMAGES, timeout = "30s")]
struct Thumbnail {}

struct Everything;

#[async_trait]
impl leveret_worker::Handler<Postcard> for Everything {
    type Output = ();
    async fn run(&self, _: Postcard, _: Context) {}
}

#[async_trait]
impl leveret_worker::Handler<Thumbnail> for Everything {
    type Output = ();
    async fn run(&self, _: Thumbnail, _: Context) {}
}

#[tokio::test(start_paused = true)]
async fn many_types_share_a_queue_and_many_queues_a_worker() {
    let stand = Stand::new();
    let builder = stand.worker().register(async |_: Note| {});
    let running = Running::start(
        builder
            .register_for::<Postcard>(Everything)
            .register_for::<Thumbnail>(Everything),
    )
    .await;

    for number in 0..10 {
        stand.enqueue([number]).await;
        stand.producer.enqueue(Postcard {}).await.expect("stored");
        stand.producer.enqueue(Thumbnail {}).await.expect("stored");
    }

    stand.wait_for_empty("mail").await;
    stand.wait_for_empty("images").await;
    let report = running.stop().await;
    assert_eq!(report.queue("mail").map(|mail| mail.completed), Some(20));
    assert_eq!(report.queue("images").map(|images| images.completed), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_routed_job_is_consumed_from_its_other_queue() {
    let stand = Stand::new();
    let staging = Queue::named("staging-mail").expect("a good name");
    let running = Running::start(
        stand
            .worker()
            .register(async |_: Note| {})
            .route::<Note>(staging.clone()),
    )
    .await;

    stand
        .producer
        .enqueue(Note { number: 7 })
        .queue(&staging)
        .await
        .expect("stored");

    stand.wait_for_empty("staging-mail").await;
    assert_eq!(
        running.stop().await.queue("staging-mail").map(|queue| queue.completed),
        Some(1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_job_holds_nothing_back() {
    // Given two slots, and one job that never ends in one of them
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let first_is_slow = async |note: Note, State(probe): State<Probe>, context: Context| {
        if note.number == 0 {
            probe.hold(note.number, &context).await;
        }
    };
    let builder = stand
        .worker()
        .state(probe)
        .register(first_is_slow)
        .concurrency(&MAIL, 2);
    let running = Running::start(builder).await;
    stand.enqueue([0]).await;
    assert_eq!(watch.started().await, (0, 1));

    // When many more come
    stand.enqueue(1..200).await;

    // Then all are done and acked while the first still runs
    stand
        .wait_for("mail", |depth| (depth.ready, depth.unacked) == (0, 1))
        .await;
    watch.let_go(1);
    assert_eq!(running.stop_mail().await.completed, 200);
}

#[tokio::test(start_paused = true)]
async fn no_more_jobs_run_at_once_than_there_are_slots() {
    let stand = Stand::new();
    let running_now = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let count = async |_: Note, State(now): State<Arc<(AtomicUsize, AtomicUsize)>>| {
        let running = now.0.fetch_add(1, Ordering::SeqCst) + 1;
        now.1.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        now.0.fetch_sub(1, Ordering::SeqCst);
    };
    let builder = stand
        .worker()
        .state(running_now.clone())
        .register(count)
        .concurrency(&MAIL, 4)
        .prefetch(&MAIL, 20);
    let running = Running::start(builder).await;

    stand.enqueue(0..100).await;

    stand.wait_for_empty("mail").await;
    assert_eq!(running_now.1.load(Ordering::SeqCst), 4);
    assert_eq!(running.stop_mail().await.completed, 100);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_too_long_for_a_slot_goes_to_a_worker_that_has_one() {
    // Given a worker whose only slot is taken, with a second job in line
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let hold = async |note: Note, State(probe): State<Probe>, context: Context| probe.hold(note.number, &context).await;
    let builder = stand
        .worker()
        .state(probe)
        .register(hold)
        .concurrency(&MAIL, 1)
        .prefetch(&MAIL, 2);
    let full = Running::start(builder).await;
    stand
        .producer
        .enqueue(Note { number: 0 })
        .timeout(Duration::from_secs(1_200))
        .await
        .expect("stored");
    assert_eq!(watch.started().await, (0, 1));
    stand.enqueue([1]).await;
    stand.wait_for("mail", |depth| depth.unacked == 2).await;

    // When another worker has a slot
    let (free_probe, mut free_watch) = probe2();
    let free = Running::start(stand.worker().state(free_probe).register(hold)).await;

    // Then the second job gets there within minutes
    assert_eq!(free_watch.started().await, (1, 1));
    assert!(watch.nothing_started());
    drop((full, free));
}

fn probe2() -> (Probe, Watch) {
    probe()
}

#[tokio::test(start_paused = true)]
async fn another_definition_of_a_queue_ends_the_worker_with_an_explanation() {
    // Given a queue that was made with another limit
    let stand = Stand::new();
    let other = stand
        .producer
        .enqueue(Note { number: 7 })
        .queue(&MAIL.delivery_limit(7));
    other.await.expect("stored");

    // When a worker wants to consume it
    let worker = stand
        .worker()
        .register(async |_: Note| {})
        .build()
        .expect("well put together");
    let error = worker
        .run_until(std::future::pending::<()>())
        .await
        .expect_err("it cannot");

    // Then it says what is wrong
    assert!(error.is_topology());
    let text = error.to_string();
    for words in ["`mail`", "x-delivery-limit", "other settings"] {
        assert!(text.contains(words), "{words:?} is not in {text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_is_true_only_while_all_queues_are_consumed() {
    let stand = Stand::new();
    let builder = stand
        .worker()
        .register(async |_: Note| {})
        .register_for::<Thumbnail>(Everything);
    let running = Running::start(builder).await;
    assert!(running.handle.is_ready());

    stand.broker.refuse_connections(true);
    stand.broker.drop_connections();
    let mut state = running.handle.state();
    while running.handle.is_ready() {
        state = running.handle.changed(&state).await;
    }

    stand.broker.refuse_connections(false);
    assert!(running.handle.ready().await);
    drop(running);
}
