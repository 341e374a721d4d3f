//! Looking changes nothing, and says what it has seen.

use std::time::Duration;

use leveret::broker::{Argument, Broker, Declaration, QueueDeclaration};
use leveret::{ConnectOptions, DeadLetters, Filter, Partial, Queue, Rabbit, ScanLimits, TopologyMode};

use super::{Bench, names};

#[tokio::test(start_paused = true)]
async fn a_list_has_what_the_filter_means_in_order() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..9);

    let failed = bench.letters().list(Filter::reason("failed")).await.unwrap();

    let ids: Vec<&str> = failed.found.iter().map(|letter| letter.id.as_str()).collect();
    assert_eq!(ids, ["1", "3", "5", "7"]);
    assert!(failed.scan.is_complete());
    assert_eq!((failed.scan.seen, failed.scan.there), (9, 9));
}

#[tokio::test(start_paused = true)]
async fn letters_are_grouped_by_what_they_died_of() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..5);

    let groups = bench.letters().groups(Filter::all()).await.unwrap().found;

    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].count, 5);
    assert_eq!(groups[0].fingerprint.to_string(), "send_welcome: user <n> is away");
    let same = bench
        .letters()
        .list(Filter::fingerprint(&groups[0].fingerprint))
        .await
        .unwrap();
    assert_eq!(same.found.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn one_letter_is_shown_with_its_body_and_no_debug_output_has_it() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..3);

    let shown = bench.letters().show("1").await.unwrap();

    assert_eq!(shown.found.len(), 1);
    assert_eq!(shown.found[0].message.body, r#"{"user_id":1}"#);
    assert_eq!(shown.found[0].record.attempt, 5);
    assert!(!format!("{shown:?}").contains("user_id"));
}

#[tokio::test(start_paused = true)]
async fn fifty_scans_of_any_width_leave_the_queue_as_it_was() {
    // Given a queue of letters
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..100);

    for round in 0..50 {
        // When it is scanned, now as a whole, now in part
        let width = [100, 7, 60, 1, 99][round % 5];
        let letters = bench.letters().limits(ScanLimits::default().letters(width));
        let listing = letters.list(Filter::all()).await.unwrap();

        // Then the scan has seen the oldest, and nothing has moved
        assert_eq!(listing.found.len(), usize::from(width));
        assert_eq!(listing.found[0].id.as_str(), "0");
        let partial = (width < 100).then_some(Partial::Letters);
        assert_eq!(listing.scan.partial, partial);
        assert_eq!(bench.ids("mail.dead"), names(0..100), "round {round}");
    }
    // And what dies next stands behind
    bench.fill("mail.dead", [100]);
    assert_eq!(bench.ids("mail.dead"), names(0..=100));
    assert_eq!(bench.broker.connections(), 1, "the one for publishing");
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_bounded_by_bytes_and_says_so() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..100);

    let letters = bench.letters().limits(ScanLimits::default().bytes(5_000));
    let listing = letters.list(Filter::all()).await.unwrap();

    assert_eq!(listing.scan.partial, Some(Partial::Bytes));
    assert!((5..50).contains(&listing.found.len()), "{}", listing.scan);
    assert_eq!(bench.ids("mail.dead"), names(0..100));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_of_the_letters_makes_a_scan_partial() {
    // Given somebody who consumes the letters, and holds two of them as soon as the scan has counted
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..5);
    let broker: &dyn Broker = &bench.broker;
    let session = broker.connect("another").await.unwrap();
    let counted = session.inspect("mail.dead").await.unwrap().ready;
    let _other = session.consume("mail.dead", 2).await.unwrap();

    // When the rest is scanned
    let listing = bench.letters().list(Filter::all()).await.unwrap();

    // Then those that are held elsewhere are not there for it
    assert_eq!((counted, listing.scan.there, listing.found.len()), (5, 3, 3));
    assert_eq!(listing.found[0].id.as_str(), "2");
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_is_complete_and_a_missing_one_is_named() {
    let bench = Bench::new().await;
    let listing = bench.letters().list(Filter::all()).await.unwrap();
    assert!(listing.found.is_empty() && listing.scan.is_complete());

    let missing = DeadLetters::of(&bench.rabbit, &Queue::new("nail"))
        .list(Filter::all())
        .await;

    let error = missing.unwrap_err();
    assert!(error.is_missing(), "{error}");
    assert!(error.to_string().contains("nail.dead"), "{error}");
    assert!(!bench.broker.queues().contains(&"nail.dead".to_owned()), "it made one");
}

#[tokio::test(start_paused = true)]
async fn a_queue_in_which_looking_does_harm_is_not_looked_at() {
    // Given a dead-letter queue with a limit that looks would reach
    let bench = Bench::new().await;
    let broker: &dyn Broker = &bench.broker;
    let session = broker.connect("another").await.unwrap();
    let limited = QueueDeclaration {
        name: "bills.dead".to_owned(),
        arguments: [
            ("x-queue-type".to_owned(), Argument::Text("quorum".to_owned())),
            ("x-delivery-limit".to_owned(), Argument::Int(20)),
        ]
        .into(),
    };
    session.declare(&[Declaration::Queue(limited)]).await.unwrap();
    bench.fill("bills.dead", [1]);

    // When it is to be listed
    let error = DeadLetters::of(&bench.rabbit, &Queue::new("bills"))
        .list(Filter::all())
        .await
        .unwrap_err();

    // Then it is not, and the reason is told
    assert!(error.to_string().contains("each look counts"), "{error}");
    assert!(error.to_string().contains("x-delivery-limit"), "{error}");
    // Unless nobody wants that checked
    let options = ConnectOptions::default().topology(TopologyMode::None);
    let trusting = Rabbit::with_broker(std::sync::Arc::new(bench.broker.clone()), options).unwrap();
    let listing = DeadLetters::of(&trusting, &Queue::new("bills"))
        .list(Filter::all())
        .await
        .unwrap();
    assert_eq!(listing.found.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_the_limit_of_deliveries_is_unknown_a_scan_ends_long_before_it() {
    for mode in [TopologyMode::Minimal, TopologyMode::None] {
        // Given letters in a queue whose limit may not be asked for
        let bench = Bench::new().await;
        bench.fill("mail.dead", 0..3);
        let options = ConnectOptions::default().topology(mode);
        let rabbit = Rabbit::with_broker(std::sync::Arc::new(bench.broker.clone()), options).unwrap();
        let letters = DeadLetters::of(&rabbit, &super::MAIL);

        // When they are looked at ten times, then the next look says what to set, and they are where they were
        for _ in 0..10 {
            letters.list(Filter::all()).await.unwrap();
        }
        let error = letters.list(Filter::all()).await.unwrap_err();
        assert!(error.to_string().contains("x-delivery-limit"), "{error}");
        assert_eq!(bench.ids("mail.dead"), names(0..3));

        // And whoever has set it, or can ask for it, goes on
        let trusting = letters.trusting_the_delivery_limit().limits(ScanLimits::default());
        assert_eq!(trusting.list(Filter::all()).await.unwrap().found.len(), 3);
        assert_eq!(bench.letters().list(Filter::all()).await.unwrap().found.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn two_inspectors_take_turns() {
    // Given somebody who inspects
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..3);
    let broker: &dyn Broker = &bench.broker;
    let holder = broker.connect("holder").await.unwrap();
    assert!(holder.lock("mail.dead.inspected").await.unwrap());

    // When another one comes, then it waits and gives up in the end
    let error = bench.letters().list(Filter::all()).await.unwrap_err();
    assert!(error.is_busy(), "{error}");

    // And when it waits while the first one ends, it goes on
    let letters = bench.letters();
    let listing = tokio::spawn(letters.list(Filter::all()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!listing.is_finished());
    holder.close().await;
    assert_eq!(listing.await.unwrap().unwrap().found.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn many_inspectors_at_once_see_the_same() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..40);
    let scans: Vec<_> = (0..20)
        .map(|_| tokio::spawn(bench.letters().list(Filter::all())))
        .collect();

    for scan in scans {
        let listing = scan.await.unwrap().unwrap();
        assert_eq!(listing.found.len(), 40, "{}", listing.scan);
    }

    assert_eq!(bench.ids("mail.dead"), names(0..40));
}
