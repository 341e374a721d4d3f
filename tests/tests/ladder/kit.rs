//! A queue and a ladder of each test's own, and a book of what arrived when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leveret::{ConnectOptions, HeaderValue, Job, JobId, Queue, Rabbit};
use leveret_tests::signal::{Counter, soon};
use leveret_worker::{Context, ExitReport, RunError, State, Worker, WorkerHandle};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

/// The job of these tests; it goes to whichever queue the test owns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = "unused", timeout = "60s")]
pub(crate) struct Note {
    pub(crate) number: u64,
}

/// A queue that no other test uses.
pub(crate) fn own_queue(name: &str) -> Queue {
    Queue::named(format!("{name}-{}", JobId::random())).expect("short enough")
}

/// Connections to a node, with a prefix: tests with one of their own have a ladder of their own.
pub(crate) async fn connect(url: &str, prefix: &str) -> Rabbit {
    let options: ConnectOptions = url.parse().expect("a good URL");
    let options = options.prefix(prefix).expect("a good prefix");
    // A broker that has just lost a node may be slow to answer.
    let options = options.confirm_deadline(Duration::from_secs(120));
    Rabbit::connect(options).await.expect("the node answers")
}

/// Enqueues notes, each to run after its wait, and waits until all are stored. Their numbers are their ids.
pub(crate) async fn enqueue(rabbit: &Rabbit, queue: &Queue, waits: impl IntoIterator<Item = (u64, Duration)>) {
    let producer = rabbit.producer();
    let mut pending = Vec::new();
    for (number, wait) in waits {
        let enqueue = producer.enqueue(Note { number }).queue(queue).id(number.to_string());
        pending.push(enqueue.delay(wait).submit().await.expect("accepted"));
    }
    for pending in pending {
        pending.await.expect("stored");
    }
}

/// One run of a note.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) number: u64,
    pub(crate) due: u64,
    pub(crate) at: u64,
    /// The broker or the producer said that it may be a repetition.
    announced: bool,
}

/// What arrived, in order.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    /// Counts the different notes.
    pub(crate) notes: Counter,
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the year 500,000,000")
}

async fn write_down(note: Note, State(book): State<Book>, context: Context) {
    let at = millis(SystemTime::now());
    let due = context
        .header("leveret-due")
        .and_then(HeaderValue::as_int)
        .expect("delayed");
    assert_eq!(context.id().to_string(), note.number.to_string());
    let mut arrivals = book.arrivals.lock().expect("no panic");
    let is_first = arrivals.iter().rev().all(|arrival| arrival.number != note.number);
    arrivals.push(Arrival {
        number: note.number,
        due: u64::try_from(due).expect("after 1970"),
        at,
        announced: context.is_redelivered() || context.header("leveret-resent").is_some(),
    });
    if is_first {
        book.notes.add();
    }
}

impl Book {
    pub(crate) fn new() -> Self {
        Self {
            arrivals: Arc::default(),
            notes: Counter::new("notes that arrived"),
        }
    }

    fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().expect("no panic").clone()
    }

    /// That these notes arrived and no others, none early. What arrived more often is told, with how often nobody had announced it.
    pub(crate) fn reckon(&self, expected: impl IntoIterator<Item = u64>) -> Reckoning {
        let arrivals = self.arrivals();
        let numbers: BTreeSet<u64> = arrivals.iter().map(|arrival| arrival.number).collect();
        assert_eq!(numbers, expected.into_iter().collect(), "all arrived, and no others");
        let early: Vec<&Arrival> = arrivals.iter().filter(|arrival| arrival.at < arrival.due).collect();
        assert!(early.is_empty(), "early: {early:?}");
        let mut plain: BTreeMap<u64, usize> = BTreeMap::new();
        for arrival in arrivals.iter().filter(|arrival| !arrival.announced) {
            *plain.entry(arrival.number).or_default() += 1;
        }
        let mut late: Vec<u64> = arrivals.iter().map(|arrival| arrival.at - arrival.due).collect();
        late.sort_unstable();
        Reckoning {
            notes: numbers.len(),
            repeated: arrivals.len() - numbers.len(),
            unannounced: plain.values().map(|runs| runs - 1).sum(),
            inversion: inversion(&arrivals),
            late,
        }
    }
}

/// The longest time by which a note was overtaken by one that was due later.
fn inversion(arrivals: &[Arrival]) -> Duration {
    let mut latest = 0;
    let mut longest = 0;
    for arrival in arrivals {
        longest = longest.max(u64::saturating_sub(latest, arrival.due));
        latest = latest.max(arrival.due);
    }
    Duration::from_millis(longest)
}

/// What the book comes to.
#[derive(Debug)]
pub(crate) struct Reckoning {
    pub(crate) notes: usize,
    /// Runs beyond each note's first.
    pub(crate) repeated: usize,
    /// Of those, the ones that neither the broker nor the producer marked as repetitions.
    pub(crate) unannounced: usize,
    pub(crate) inversion: Duration,
    late: Vec<u64>,
}

impl fmt::Display for Reckoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = |part: usize| self.late.get(self.late.len() * part / 100).or(self.late.last());
        let (half, most) = (late(50).unwrap_or(&0), late(99).unwrap_or(&0));
        write!(
            f,
            "{} notes, {} repeated ({} unannounced), overtaken by {:?} at the most, p50/p99 {half}/{most} ms late",
            self.notes, self.repeated, self.unannounced, self.inversion
        )
    }
}

/// A worker that runs.
pub(crate) struct Running {
    handle: WorkerHandle,
    task: JoinHandle<Result<ExitReport, RunError>>,
}

impl Running {
    /// Takes the notes of a queue and writes them down, from when it is ready.
    pub(crate) async fn start(rabbit: &Rabbit, queue: &Queue, book: &Book) -> Self {
        let builder = Worker::builder(rabbit).state(book.clone()).register(write_down);
        let worker = builder.route::<Note>(queue.clone()).build().expect("well put together");
        let running = Self {
            handle: worker.handle(),
            task: tokio::spawn(worker.run_until(std::future::pending::<()>())),
        };
        assert!(soon("a worker that consumes", running.handle.ready()).await);
        running
    }

    pub(crate) async fn stop(self) -> ExitReport {
        self.handle.shutdown();
        let ended = soon("the end of the worker", self.task).await;
        ended.expect("no panic").expect("it could run")
    }
}
