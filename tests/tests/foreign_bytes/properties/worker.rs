//! A whole worker that gets a message from anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::broker::Destination;
use leveret::testing::TestBroker;
use leveret::{Message, Queue};
use leveret_worker::{Context, State, Worker};
use tokio::runtime::Builder;

use super::message::Welcome;
use super::source::{Source, foreign};

const MAIL: Queue = Queue::new("mail");
/// Of the broker's clock, which stands still but for the worker's own waits. No message takes that long here.
const DEADLINE: Duration = Duration::from_secs(30 * 86_400);

/// Takes any input: what a handler does, then a message.
pub fn check(input: &[u8]) {
    let mut source = Source::new(input);
    let fails = source.byte() % 2 == 1;
    let message = source.message();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(nothing_is_lost(&message, fails));
}

#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

async fn nothing_is_lost(message: &Message, fails: bool) {
    let broker = TestBroker::new();
    broker.rabbit().declare(&MAIL).await.expect("declared");
    if broker
        .memory()
        .publish_raw(&Destination::queue("mail"), message)
        .is_err()
    {
        return;
    }
    let runs = Runs::default();
    let handler = move |_: Welcome, State(runs): State<Runs>, context: Context| async move {
        runs.0.fetch_add(1, Ordering::Relaxed);
        // A foreign message may ask for four billion attempts.
        match fails && context.attempt() < 5 {
            true => Err("not today"),
            false => Ok(()),
        }
    };
    let worker = Worker::builder(broker.url())
        .state(runs.clone())
        .register(handler)
        .build();
    let running = worker.expect("a good worker").run_until_idle(&broker);
    let report = tokio::time::timeout(DEADLINE, running)
        .await
        .expect("it ends")
        .expect("in order");
    let report = report.queue("mail").expect("its queue");
    let dead = broker.memory().contents("mail.dead");
    assert_eq!(
        report.completed + report.cancelled + dead.len() as u64,
        1,
        "done or dead: {report:?}"
    );
    for letter in &dead {
        assert_eq!(letter.body, message.body);
        assert_eq!(foreign(letter), foreign(message));
    }
    let ran = runs.0.load(Ordering::Relaxed) as u64;
    assert!(ran >= report.completed, "{ran} runs: {report:?}");
}
