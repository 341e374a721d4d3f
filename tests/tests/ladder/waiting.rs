//! A real broker without faults.

use std::time::Duration;

use leveret::Queue;
use leveret::topology::Topology;
use leveret_tests::signal::{Counter, eventually};
use leveret_tests::{shared, taker};

use crate::kit::*;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_mixed_delays_arrive_once_each_and_none_early() {
    // Given a worker
    let rabbit = connect(&shared().await.amqp_url(), "leveret").await;
    let (queue, book) = (own_queue("mixed"), Book::new());
    let running = Running::start(&rabbit, &queue, &book).await;

    // When five thousand jobs are to wait up to fifteen seconds
    let mut rng = fastrand::Rng::with_seed(7);
    let waits = (0..5_000).map(|number| (number, Duration::from_millis(rng.u64(1..15_000))));
    enqueue(&rabbit, &queue, waits).await;
    book.notes.wait_for_within(PATIENCE, 5_000).await;

    // Then each arrives once and none early. How late they are, and so what overtakes them, the machine decides: `memory` asserts it, and the
    // benchmark measures it.
    let report = running.stop().await;
    let reckoning = book.reckon(0..5_000);
    println!("{reckoning}");
    assert_eq!(reckoning.repeated, 0);
    assert_eq!(reckoning.notes, 5_000);
    assert_eq!(report.queue(queue.name()).map(|queue| queue.completed), Some(5_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_whose_names_contain_each_other_do_not_mix() {
    // Given queues whose names are parts of each other, or patterns of a binding
    let rabbit = connect(&shared().await.amqp_url(), "leveret").await;
    let mail = own_queue("mail");
    let name = mail.name().to_owned();
    let named = |name: String| Queue::named(name).expect("a good name");
    let queues = [
        mail,
        named(format!("eu.{name}")),
        named(format!("eu.{name}.eu")),
        named(format!("*.{name}")),
        named(format!("#.{name}")),
        named(format!("eu-{name}")),
    ];
    let mut running = Vec::new();
    for queue in &queues {
        let book = Book::new();
        running.push((Running::start(&rabbit, queue, &book).await, book));
    }

    // When each gets ten delayed jobs, then these arrive there, and no others
    for (at, queue) in (0..).zip(&queues) {
        let numbers = at * 10..(at + 1) * 10;
        enqueue(
            &rabbit,
            queue,
            numbers.map(|number| (number, Duration::from_millis(300))),
        )
        .await;
    }
    for (at, (running, book)) in (0..).zip(running) {
        book.notes.wait_for(10).await;
        assert!(running.stop().await.is_clean());
        assert_eq!(book.reckon(at * 10..(at + 1) * 10).repeated, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_does_not_slow_the_jobs_of_another() {
    // Given a full queue, and delayed jobs for it
    let rabbit = connect(&shared().await.amqp_url(), "leveret").await;
    let full = own_queue("full").max_length(1);
    let producer = rabbit.producer();
    let refused = Counter::new("refused jobs");
    for number in 1_000..1_010 {
        if producer.enqueue(Note { number }).queue(&full).await.is_err() {
            refused.add();
        }
    }
    assert!(refused.count() > 0, "it is full");
    let wait = Duration::from_millis(700);
    enqueue(&rabbit, &full, (0..200).map(|number| (number, wait))).await;

    // When jobs of another queue wait as long, then they arrive: a refused one would have kept its level for three minutes
    let (other, book) = (own_queue("other"), Book::new());
    let running = Running::start(&rabbit, &other, &book).await;
    enqueue(&rabbit, &other, (0..200).map(|number| (number, wait))).await;
    book.notes.wait_for(200).await;
    assert!(running.stop().await.is_clean());
    assert_eq!(book.reckon(0..200).repeated, 0);

    // And those of the full queue are beside it
    let due = Topology::new("leveret").due_queue(&full).expect("it has a limit");
    eventually("200 due jobs", async || taker::depth(&rabbit, &due).await == 200).await;
}
