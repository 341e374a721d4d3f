//! How late delayed jobs are, and whether they come in the order in which they are due: prints p50, p99 and the largest lateness of 1,000
//! mixed delays on a private node.
//!
//! `cargo run --release -p leveret-tests --bin ladder-lateness`, on a machine that does nothing else; on another version of RabbitMQ with
//! `LEVERET_TEST_RABBITMQ_ROOT`, as for the suites. The delays are whole units of 100 ms, so what is shown is what the ladder adds: a wait that is not
//! is rounded up to the next.

// A broken expectation ends the program at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leveret::{HeaderValue, Job, Rabbit};
use leveret_tests::Node;
use leveret_tests::signal::Counter;
use leveret_worker::{Context, State, Worker};
use serde::{Deserialize, Serialize};

const JOBS: u32 = 1_000;
/// The delays: 0.1 to 15.1 seconds, each about as often.
const UNITS: u32 = 151;
/// Mixes them: the next is another number of units, with other hops.
const MIXED: u32 = 67;
const UNIT: Duration = Duration::from_millis(100);

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "lateness", timeout = "60s")]
struct Late {
    number: u32,
}

/// When each was due and how late it was, in milliseconds (less than nothing: early), in the order of their arrival.
#[derive(Debug, Clone)]
struct Book {
    late: Arc<Mutex<Vec<(i64, i64)>>>,
    arrived: Counter,
}

async fn write_down(_: Late, State(book): State<Book>, context: Context) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_millis();
    let now = i64::try_from(now).expect("before the year 292 million");
    let due = context
        .header("leveret-due")
        .and_then(HeaderValue::as_int)
        .expect("delayed");
    book.late.lock().expect("no panic").push((due, now - due));
    book.arrived.add();
}

#[tokio::main]
async fn main() {
    let node = Node::start().await;
    let rabbit = Rabbit::connect(node.amqp_url().as_str())
        .await
        .expect("the node answers");
    let book = Book {
        late: Arc::default(),
        arrived: Counter::new("jobs that arrived"),
    };
    let worker = Worker::builder(&rabbit)
        .state(book.clone())
        .register(write_down)
        .build()
        .expect("valid");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run_until(std::future::pending::<()>()));
    assert!(handle.ready().await);
    let producer = rabbit.producer();
    // The first delay makes the ladder.
    producer.enqueue(Late { number: 0 }).delay(UNIT).await.expect("stored");
    book.arrived.wait_for(1).await;
    book.late.lock().expect("no panic").clear();

    for number in 1..=JOBS {
        let wait = UNIT * (MIXED * number % UNITS + 1);
        producer.enqueue(Late { number }).delay(wait).await.expect("stored");
    }
    book.arrived
        .wait_for_within(Duration::from_secs(60), u64::from(JOBS) + 1)
        .await;

    handle.shutdown();
    let report = running.await.expect("no panic").expect("it ran");
    print(&book, node.version().await);
    println!("{report}");
}

fn print(book: &Book, version: leveret_tests::node::Version) {
    let arrivals = book.late.lock().expect("no panic").clone();
    let overtaken = overtaken(&arrivals);
    let mut late: Vec<i64> = arrivals.into_iter().map(|(_, late)| late).collect();
    late.sort_unstable();
    let at = |part: usize| late[(late.len() - 1) * part / 100];
    println!(
        "RabbitMQ {version:?}: {} jobs, {} early, {overtaken} overtaken by one due more than {UNIT:?} later; late by p50 {} ms, p99 {} ms, \
         at the most {} ms",
        late.len(),
        late.iter().filter(|late| **late < 0).count(),
        at(50),
        at(99),
        at(100)
    );
}

/// How many came after one that was due more than a unit later.
fn overtaken(arrivals: &[(i64, i64)]) -> usize {
    let unit = i64::try_from(UNIT.as_millis()).expect("small");
    let mut latest = i64::MIN;
    let mut overtaken = 0;
    for (due, _) in arrivals {
        overtaken += usize::from(due + unit < latest);
        latest = latest.max(*due);
    }
    overtaken
}
