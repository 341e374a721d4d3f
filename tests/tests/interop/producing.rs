//! Python enqueues, a Leveret worker runs.

use leveret_tests::loss::{Fate, Run};
use leveret_tests::{LossBook, taker};
use leveret_worker::{Context, State};

use crate::kit::*;

const JOBS: usize = 100;

/// The addresses of the jobs, each of them once. The first is one that breaks what is not careful with text.
fn addresses() -> Vec<String> {
    let rest = (1..JOBS).map(|number| format!("{number}@example.org"));
    std::iter::once(UMLAUTS.to_owned()).chain(rest).collect()
}

#[derive(Clone, Default)]
struct Welcomed(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

async fn send_welcome(
    job: SendWelcome,
    State(book): State<LossBook>,
    State(welcomed): State<Welcomed>,
    context: Context,
) {
    assert!(context.id().is_stable());
    welcomed.0.lock().expect("no panic").push(job.address);
    book.ran_to_end(context.id().as_str(), Run::of(&context));
}

async fn every_job_of(program: &str) {
    // Given a worker
    let bench = Bench::new("from-python").await;
    let (book, welcomed) = (LossBook::new(), Welcomed::default());
    let builder = bench.worker().state(book.clone()).state(welcomed.clone());
    let running = Running::start(builder.register(send_welcome)).await;

    // When a program in Python enqueues jobs
    let addresses = addresses();
    let arguments: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut program = bench.example(program, &arguments).await;
    for id in program.lines("enqueued ", JOBS).await {
        book.enqueued(id, Fate::Confirmed);
    }
    assert!(program.end().await.success());
    book.wait_for_done(JOBS as u64).await;
    let report = running.stop().await;

    // Then each has run once, whole, under the id that the program gave it, and none is left
    let told = book.report();
    assert_eq!((told.confirmed, told.done), (JOBS, JOBS), "{told:?}");
    assert!(
        told.lost.is_empty() && told.ghosts.is_empty() && told.duplicates.is_empty(),
        "{told:?}"
    );
    let mut welcomed = std::mem::take(&mut *welcomed.0.lock().expect("no panic"));
    let mut addresses = addresses.clone();
    welcomed.sort_unstable();
    addresses.sort_unstable();
    assert_eq!(welcomed, addresses);
    let completed = report.queue(bench.queue.name()).map(|queue| queue.completed);
    assert_eq!(completed, Some(JOBS as u64));
    assert_eq!(taker::depth(&bench.rabbit, bench.queue.name()).await, 0);
    assert_eq!(bench.dead_letter_count().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_that_pika_enqueues_runs_once() {
    every_job_of("pika_enqueue.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_that_kombu_enqueues_runs_once() {
    every_job_of("kombu_enqueue.py").await;
}

#[tokio::test]
async fn whoever_enqueues_to_a_queue_that_is_not_there_is_told() {
    let mut bench = Bench::new("unused").await;
    bench.queue = leveret::Queue::new("misspelt");
    for program in ["pika_enqueue.py", "kombu_enqueue.py"] {
        let mut program = bench.example(program, &["ada@example.org"]).await;
        assert_eq!(program.line().await, None, "nothing was enqueued");
        assert!(!program.end().await.success());
    }
}
