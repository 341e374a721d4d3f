//! Sent back to work: nothing is lost, and what is there twice has one id.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret::{Filter, RedriveReport};
use leveret_tests::taker;

use crate::kit::Bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_back_is_at_work_and_the_rest_in_its_order() {
    let bench = Bench::new("redriven").await;
    let all = bench.fill(500).await;
    let (some, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|id| id.ends_with('3'));

    let report = bench
        .letters()
        .redrive(Filter::ids(some.iter().map(String::as_str)))
        .await
        .unwrap();

    assert_eq!((report.redriven.len(), &report.stopped), (50, &None), "{report}");
    assert!(bench.take_ids(bench.queue.name()).await == some);
    bench.is_at_rest(&bench.dead(), 450).await;
    assert!(bench.take_ids(&bench.dead()).await == rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_confirm_and_ack_loses_nothing_and_leaves_one_job_twice() {
    // Given 40 letters, and an inspector that sends them back one by one and dies at the fifth confirm
    let bench = Bench::new("one-by-one").await;
    bench.fill(40).await;
    let ended = bench.inspector(&["redrive", "one", "5"]).wait().unwrap();
    assert!(!ended.success());

    // When it is dead
    let (work, twice) = after_the_kill(&bench, 40).await;

    // Then exactly what was confirmed is at work; the last one's letter was not removed, and those before may not have been
    assert_eq!(work, 5);
    assert!((1..=5).contains(&twice), "{twice} of 5 are twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_midst_of_a_hundred_loses_nothing() {
    // Given 400 letters, and an inspector that has a hundred on their way and dies at the 150th confirm
    let bench = Bench::new("many-at-once").await;
    bench.fill(400).await;
    let ended = bench.inspector(&["redrive", "many", "150"]).wait().unwrap();
    assert!(!ended.success());

    // When it is dead
    let (work, twice) = after_the_kill(&bench, 400).await;

    // Then at least what was confirmed is at work, and no more is twice than was
    assert!((150..=250).contains(&work), "{work} are at work");
    assert!((1..=work).contains(&twice), "{twice} of {work} are twice");
}

/// Lets the rest be sent back, and counts: how many jobs the dead inspector had sent, and how many are there twice in the end. None may be missing.
async fn after_the_kill(bench: &Bench, letters: usize) -> (usize, usize) {
    bench.is_let_go(&bench.dead()).await;
    let dead = bench.letters().list(Filter::all()).await.unwrap().found.len();
    let report: RedriveReport = bench.letters().redrive(Filter::all()).await.unwrap();
    assert_eq!((report.redriven.len(), report.refused.len()), (dead, 0), "{report}");
    bench.is_at_rest(&bench.dead(), 0).await;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for id in bench.take_ids(bench.queue.name()).await {
        *times.entry(id).or_default() += 1;
    }
    let twice = times.values().filter(|times| **times == 2).count();
    println!("{letters} letters: {dead} were left, {twice} are twice");
    assert_eq!(times.len(), letters, "some are lost");
    assert!(times.values().all(|times| *times <= 2));
    (letters + twice - dead, twice)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spaced_letters_wait_in_the_broker_and_all_arrive() {
    // Given 30 letters that are sent back 50 ms apart
    let bench = Bench::new("spaced").await;
    let all = bench.fill(30).await;
    let order = bench.letters().redrive(Filter::all());
    let report = order.spaced(Duration::from_millis(50)).await.unwrap();
    assert_eq!(report.redriven.len(), 30, "{report}");

    // When nobody does anything any more
    bench.is_at_rest(&bench.dead(), 0).await;
    let arrived = taker::take(&bench.rabbit, bench.queue.name(), 30).await;

    // Then all arrive, each once, marked as sent back
    let mut ids: Vec<&str> = arrived.iter().map(crate::kit::id).collect();
    ids.sort_unstable_by_key(|id| id.parse::<u32>().unwrap());
    assert!(ids == all);
    let marked = |name: &str| arrived.iter().all(|job| job.properties.headers[name] == 1.into());
    assert!(marked("leveret-redriven") && marked("leveret-hop") && marked("leveret-attempt"));
    assert_eq!(taker::depth(&bench.rabbit, bench.queue.name()).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discarded_letters_are_gone_and_the_rest_in_its_order() {
    let bench = Bench::new("discarded").await;
    let all = bench.fill(300).await;
    let rest: Vec<_> = all.into_iter().filter(|id| !id.contains('7')).collect();

    let report = bench.letters().discard(Filter::error("7")).await.unwrap();

    assert_eq!(
        (report.discarded.len(), &report.stopped),
        (300 - rest.len(), &None),
        "{report}"
    );
    bench
        .is_at_rest(&bench.dead(), u32::try_from(rest.len()).unwrap())
        .await;
    assert!(bench.take_ids(&bench.dead()).await == rest);
}
