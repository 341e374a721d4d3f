//! Exports and imports.

use leveret::{DeadLetters, Filter, Imported, Message, Queue, ScanLimits};

use super::{Bench, letter, names};

#[tokio::test(start_paused = true)]
async fn an_export_imported_elsewhere_is_the_same_letters_one_hop_on() {
    // Given letters, one of them not JSON, on one broker, and another broker
    let (here, there) = (Bench::new().await, Bench::new().await);
    here.fill("mail.dead", 0..50);
    let mut odd = letter(50);
    odd.body = b"\xff\x00not JSON\n".as_slice().into();
    here.put("mail.dead", &odd);

    // When they are exported and imported
    let export = here.letters().export(Filter::all()).await.unwrap();
    assert_eq!(here.ids("mail.dead"), names(0..=50), "an export takes nothing");
    let report = there.letters().import(export.to_text()).await.unwrap();

    // Then they are the same, in order
    assert_eq!(report.stored(), 51, "{report}");
    let mut expected = here.broker.messages("mail.dead");
    for message in &mut expected {
        message.properties.headers.insert("leveret-hop".to_owned(), 5.into());
    }
    assert!(there.broker.messages("mail.dead") == expected);
    assert!(!format!("{export:?}").contains("user_id"));
}

#[tokio::test(start_paused = true)]
async fn what_is_here_already_is_not_imported_again() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..3);
    let text = bench.letters().export(Filter::all()).await.unwrap().to_text();
    bench.broker.purge("mail.dead");

    let dry = bench.letters().import(text.clone()).dry_run().await.unwrap();
    assert_eq!((dry.stored(), bench.ids("mail.dead").len()), (3, 0));
    assert_eq!(bench.letters().import(text.clone()).await.unwrap().stored(), 3);

    // When the same lines come once more, and twice at once
    let again = bench.letters().import(text.repeat(2)).await.unwrap();

    // Then each says that it is here, and the queue is as it was
    assert!(
        again.lines.iter().all(|line| line.outcome == Imported::AlreadyHere),
        "{again}"
    );
    assert_eq!(bench.ids("mail.dead"), names(0..3));
    // Unless they shall be there again
    let forced = bench.letters().import(text).even_again().await.unwrap();
    assert_eq!((forced.stored(), bench.ids("mail.dead").len()), (3, 6));
}

#[tokio::test(start_paused = true)]
async fn what_was_exported_and_never_left_is_not_imported() {
    // Given letters that were exported and are still here
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..3);
    let text = bench.letters().export(Filter::all()).await.unwrap().to_text();

    // When they are imported into the same queue
    let report = bench.letters().import(text.clone()).await.unwrap();

    // Then all of them are here already
    let outcomes: Vec<_> = report.lines.iter().map(|line| &line.outcome).collect();
    assert_eq!(outcomes, [&Imported::AlreadyHere; 3], "{report}");
    assert_eq!(bench.ids("mail.dead"), names(0..3));
    assert!(!report.to_string().contains("partial"), "{report}");
    // And where not all that is here was looked at, the report says so
    let narrow = bench.letters().limits(ScanLimits::default().letters(1));
    let partial = narrow.import(text).dry_run().await.unwrap();
    assert_eq!(partial.stored(), 2, "{partial}");
    assert!(partial.to_string().contains("partial: 1 of 3"), "{partial}");
}

#[tokio::test(start_paused = true)]
async fn two_lines_of_one_job_one_hop_apart_are_two_letters() {
    // Given an export with the same job twice, the second one hop on
    let bench = Bench::new().await;
    let mut second = letter(1);
    second.properties.headers.insert("leveret-hop".to_owned(), 5.into());
    bench.put("mail.dead", &letter(1));
    bench.put("mail.dead", &second);
    let text = bench.letters().export(Filter::all()).await.unwrap().to_text();
    bench.broker.purge("mail.dead");

    // When it is imported, then both come
    let report = bench.letters().import(text).await.unwrap();
    assert_eq!(report.stored(), 2, "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_bad_line_is_reported_by_its_number_and_the_others_are_imported() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..2);
    let export = bench.letters().export(Filter::all()).await.unwrap();
    bench.broker.purge("mail.dead");
    let text = format!("{}\n\nsecret\n{}\n", export.lines[0], export.lines[1]);

    let report = bench.letters().import(text).await.unwrap();

    assert_eq!((report.stored(), report.lines.len()), (2, 3), "{report}");
    assert_eq!(report.lines[1].number, 3);
    assert!(matches!(&report.lines[1].outcome, Imported::Invalid(why) if !why.contains("secret")));
    assert_eq!(bench.ids("mail.dead"), names(0..2));
}

#[tokio::test(start_paused = true)]
async fn an_import_makes_the_queue_that_it_needs() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", [1]);
    let text = bench.letters().export(Filter::all()).await.unwrap().to_text();
    let bills = DeadLetters::of(&bench.rabbit, &Queue::new("bills"));

    let report = bills.import(text).await.unwrap();

    assert_eq!((report.stored(), report.scan), (1, None));
    assert_eq!(bench.ids("bills.dead"), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_letter_without_an_id_has_one_from_its_export_on() {
    let bench = Bench::new().await;
    bench.put(
        "mail.dead",
        &Message {
            body: b"{}".as_slice().into(),
            ..Message::default()
        },
    );
    let text = bench.letters().export(Filter::all()).await.unwrap().to_text();

    bench.letters().import(text.clone()).await.unwrap();
    let again = bench.letters().import(text).await.unwrap();

    assert_eq!(again.lines[0].outcome, Imported::AlreadyHere);
    let ids = bench.ids("mail.dead");
    assert_eq!((ids.len(), ids[0].as_str(), ids[1].len()), (2, "", 36));
}
