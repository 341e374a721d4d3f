//! A Leveret producer enqueues, Python runs.

use std::collections::BTreeSet;

use leveret_tests::taker;
use leveret_worker::Fetcher;

use crate::kit::*;

const JOBS: usize = 200;
/// Of the example programs.
const PREFETCH: usize = 10;

fn address(number: usize) -> String {
    format!("{number}: {UMLAUTS}")
}

async fn enqueue_all(bench: &Bench) {
    let envelope = |number| {
        let job = SendWelcome {
            address: address(number),
        };
        leveret::Envelope::new(job)
            .expect("plain")
            .with_queue(bench.queue.clone())
    };
    let results = bench.rabbit.producer().enqueue_envelopes((0..JOBS).map(envelope)).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

async fn every_job_to(program: &str) {
    // Given jobs that Leveret enqueued
    let bench = Bench::new("to-python").await;
    enqueue_all(&bench).await;

    // When a program in Python runs them
    let mut working = bench.example(program, &[]).await;
    let ran = working.lines("writing to ", JOBS).await;

    // Then each has run once, in order, and none is left
    assert_eq!(ran, (0..JOBS).map(address).collect::<Vec<_>>());
    bench.wait_until_empty().await;
    working.kill().await;
    assert_eq!(working.line().await, None, "no more");
    assert_eq!(
        taker::depth(&bench.rabbit, bench.queue.name()).await,
        0,
        "all were acked"
    );
    assert_eq!(bench.dead_letter_count().await, 0);
}

#[tokio::test]
async fn pika_runs_each_job_that_leveret_enqueues_once() {
    every_job_to("pika_work.py").await;
}

#[tokio::test]
async fn kombu_runs_each_job_that_leveret_enqueues_once() {
    every_job_to("kombu_work.py").await;
}

async fn what_a_killed(program: &str) {
    // Given a program amid jobs that Leveret enqueued
    let bench = Bench::new("killed-python").await;
    enqueue_all(&bench).await;
    let mut first = bench.example(program, &[]).await;
    let mut ran = first.lines("writing to ", 20).await;

    // When it is killed, and another comes
    first.kill().await;
    while let Some(line) = first.line().await {
        ran.push(line.trim_start_matches("writing to ").to_owned());
    }
    let mut next = bench.example(program, &[]).await;
    let mut different: BTreeSet<String> = ran.iter().cloned().collect();
    while different.len() < JOBS {
        let address = next.lines("writing to ", 1).await.remove(0);
        different.insert(address.clone());
        ran.push(address);
    }

    // Then all have run, and no more of them twice than the first had in its hands
    bench.wait_until_empty().await;
    next.kill().await;
    assert_eq!(different, (0..JOBS).map(address).collect());
    assert!((JOBS..=JOBS + PREFETCH).contains(&ran.len()), "{} runs", ran.len());
    assert_eq!(taker::depth(&bench.rabbit, bench.queue.name()).await, 0);
    assert_eq!(bench.dead_letter_count().await, 0);
}

#[tokio::test]
async fn what_a_killed_pika_had_is_run_by_the_next() {
    what_a_killed("pika_work.py").await;
}

#[tokio::test]
async fn what_a_killed_kombu_had_is_run_by_the_next() {
    what_a_killed("kombu_work.py").await;
}

#[tokio::test]
async fn what_python_does_not_know_is_a_dead_letter_with_its_bytes_intact() {
    for program in ["pika_work.py", "kombu_work.py"] {
        // Given a job of a type that the program does not know, before one that it knows
        let bench = Bench::new("unheard").await;
        let producer = bench.rabbit.producer();
        let unheard = producer.enqueue(Unheard { number: 7 }).queue(&bench.queue);
        let id = unheard.await.expect("stored");
        let known = SendWelcome {
            address: UMLAUTS.to_owned(),
        };
        producer.enqueue(known).queue(&bench.queue).await.expect("stored");

        // When it runs
        let mut working = bench.example(program, &[]).await;
        let failed = working.lines("failed ", 1).await.remove(0);
        assert_eq!(working.lines("writing to ", 1).await, [UMLAUTS]);

        // Then that job is a dead letter, the broker's own, and the other one is done
        assert!(failed.starts_with(id.as_str()), "{failed}");
        let dead = bench.look(&bench.dead(), 1, "job").await.remove(0);
        assert_eq!(dead["properties"]["message_id"], id.as_str());
        assert_eq!(dead["body"], serde_json::json!({"number": 7}));
        assert_eq!(dead["headers"]["x-death"][0]["reason"], "rejected");
        bench.wait_until_empty().await;
        working.kill().await;
        assert_eq!(bench.dead_letter_count().await, 0);
    }
}

#[tokio::test]
async fn the_second_attempt_of_a_job_may_run_in_another_language() {
    for program in ["pika_work.py", "kombu_work.py"] {
        // Given a job whose first attempt has failed here
        let bench = Bench::new("second-attempt").await;
        let job = SendWelcome {
            address: UMLAUTS.to_owned(),
        };
        bench
            .rabbit
            .producer()
            .enqueue(job)
            .queue(&bench.queue)
            .await
            .expect("stored");
        let mut fetcher = Fetcher::connect(&bench.rabbit, &bench.queue).await.expect("connected");
        let fetched = fetcher.fetch::<SendWelcome>().await.expect("readable").expect("there");
        fetched.settle(Err::<(), _>("not yet")).await.expect("taken in");

        // When a program in Python takes the queue over
        let mut working = bench.example(program, &[]).await;

        // Then it runs the next
        assert_eq!(working.lines("writing to ", 1).await, [UMLAUTS]);
        bench.wait_until_empty().await;
        working.kill().await;
        assert_eq!(bench.dead_letter_count().await, 0);
    }
}
