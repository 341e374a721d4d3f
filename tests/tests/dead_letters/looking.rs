//! Depth and order after scans and kills.

use leveret::{Filter, Partial, ScanLimits};
use leveret_tests::taker;

use crate::kit::{Bench, connect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_scans_of_any_width_leave_depth_and_order() {
    // Given 300 letters
    let bench = Bench::new("scanned").await;
    let all = bench.fill(300).await;

    // When they are scanned fifty times, as a whole and in part
    for round in 0..50 {
        let width = [300, 299, 40, 250, 1][round % 5];
        let letters = bench.letters().limits(ScanLimits::default().letters(width));
        let listing = letters.list(Filter::all()).await.unwrap();
        let ids: Vec<&str> = listing.found.iter().map(|letter| letter.id.as_str()).collect();
        assert!(ids == all[..usize::from(width)], "round {round}: {}", listing.scan);
        assert_eq!(listing.scan.partial, (width < 300).then_some(Partial::Letters));
        assert_eq!(taker::depth(&bench.rabbit, &bench.dead()).await, 300, "round {round}");
    }

    // Then they are all there, in their order
    bench.is_at_rest(&bench.dead(), 300).await;
    assert!(bench.take_ids(&bench.dead()).await == all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_of_the_inspector_leave_depth_and_order() {
    // Given 300 letters
    let bench = Bench::new("killed").await;
    let all = bench.fill(300).await;

    for round in 0..50 {
        // When an inspector that holds them is killed
        bench.kill_one_that_holds().await;
        bench.is_at_rest(&bench.dead(), 300).await;

        // Then the next one is not kept out, and finds them in their order
        if round % 10 == 9 {
            let listing = bench.letters().list(Filter::all()).await.unwrap();
            let ids: Vec<&str> = listing.found.iter().map(|letter| letter.id.as_str()).collect();
            assert!(ids == all, "round {round}");
        }
    }
    assert!(bench.take_ids(&bench.dead()).await == all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inspectors_of_several_processes_take_turns() {
    // Given 100 letters, an inspector that holds them, and five others
    let bench = Bench::new("shared").await;
    let all = bench.fill(100).await;
    let mut holder = bench.inspector(&["hold"]);
    let session = taker::session(&bench.rabbit).await;
    leveret_tests::signal::eventually("they are held", async || {
        session.inspect(&bench.dead()).await.unwrap().ready == 0
    })
    .await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let rabbit = connect(bench.node).await;
        let letters = leveret::DeadLetters::of(&rabbit, &bench.queue);
        waiting.push(tokio::spawn(letters.list(Filter::all())));
    }

    // When the first one dies
    holder.kill().unwrap();
    holder.wait().unwrap();

    // Then each of the others sees all of them
    for listing in waiting {
        let listing = listing.await.unwrap().unwrap();
        assert_eq!(listing.found.len(), 100, "{}", listing.scan);
    }
    bench.is_at_rest(&bench.dead(), 100).await;
    assert!(bench.take_ids(&bench.dead()).await == all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_end_keeps_others_out_and_they_say_so() {
    let bench = Bench::new("busy").await;
    bench.fill(1).await;
    let holder = connect(bench.node).await;
    let holder = taker::session(&holder).await;
    assert!(holder.lock(&format!("{}.inspected", bench.dead())).await.unwrap());

    let error = bench.letters().list(Filter::all()).await.unwrap_err();

    assert!(error.is_busy(), "{error}");
    assert_eq!(taker::depth(&bench.rabbit, &bench.dead()).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_letters_are_seen_at_once() {
    let bench = Bench::new("many").await;
    let all = bench.fill(5_000).await;

    for _ in 0..2 {
        let listing = bench.letters().list(Filter::all()).await.unwrap();
        assert!(listing.scan.is_complete(), "{}", listing.scan);
        let ids: Vec<&str> = listing.found.iter().map(|letter| letter.id.as_str()).collect();
        assert!(ids == all);
    }
    let groups = bench.letters().groups(Filter::all()).await.unwrap().found;
    assert_eq!((groups.len(), groups[0].count), (1, 5_000));
}
