//! Sending letters back to work, and removing them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::envelope::Incoming;
use leveret::{DeadLetters, Filter, MAX_REDRIVES, Queue, RedriveEvent, Refusal};

use super::{Bench, letter, names};

#[tokio::test(start_paused = true)]
async fn what_the_filter_means_goes_back_to_work_and_the_rest_stays() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..200);

    let report = bench.letters().redrive(Filter::reason("failed")).await.unwrap();

    let (odd, even) = (
        names((0..200).filter(|n| n % 2 == 1)),
        names((0..200).filter(|n| n % 2 == 0)),
    );
    assert_eq!(report.redriven.len(), 100, "{report}");
    assert!(report.refused.is_empty() && report.stopped.is_none() && report.scan.is_complete());
    assert_eq!(bench.ids("mail"), odd);
    assert_eq!(bench.ids("mail.dead"), even);
    let job = Incoming::read(&bench.broker.messages("mail")[0]).unwrap();
    assert_eq!((job.attempt, job.hop), (1, Some(5)));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_the_same_and_changes_nothing() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..9);
    let before = bench.broker.messages("mail.dead");
    let order = || bench.letters().redrive(Filter::reason("failed")).at_most(3);

    let dry = order().dry_run().await.unwrap();

    assert_eq!(bench.broker.messages("mail.dead").len(), before.len());
    assert_eq!((bench.ids("mail.dead"), bench.ids("mail")), (names(0..9), Vec::new()));
    let wet = order().await.unwrap();
    assert_eq!((dry.redriven.len(), &dry.redriven), (3, &wet.redriven));
    assert_eq!(bench.ids("mail"), ["1", "3", "5"]);
    assert!(dry.to_string().contains("would be"), "{dry}");
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_letter_come_in_order() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..2);
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);

    let order = bench.letters().redrive(Filter::all()).one_by_one();
    let listen = move |event: &RedriveEvent<'_>| heard.lock().unwrap().push(format!("{event:?}"));
    order.on_event(listen).await.unwrap();

    let events = events.lock().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.split('(').next().unwrap()).collect();
    assert_eq!(kinds, ["Chosen", "Confirmed", "Chosen", "Confirmed"]);
}

#[tokio::test(start_paused = true)]
async fn spaced_letters_arrive_one_after_another() {
    // Given five letters that are sent back two seconds apart
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..5);
    let spacing = Duration::from_secs(2);
    let report = bench.letters().redrive(Filter::all()).spaced(spacing).await.unwrap();
    assert_eq!(report.redriven.len(), 5, "{report}");
    assert_eq!(report.redriven[4].wait, 4 * spacing);

    // When time passes, then they arrive; nothing is left among the dead
    assert!(bench.ids("mail.dead").is_empty());
    tokio::time::sleep(Duration::from_millis(100)).await;
    for number in 0..5 {
        assert_eq!(bench.ids("mail"), names(0..=number));
        tokio::time::sleep(spacing).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_wait_for_more_than_a_year_stays() {
    // Given two letters
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..2);

    // When they are sent back as far apart as a duration can be, then the first one goes, and the second is refused
    let order = bench.letters().redrive(Filter::all()).spaced(Duration::MAX);
    let report = order.await.unwrap();
    assert_eq!((report.redriven.len(), report.refused.len()), (1, 1), "{report}");
    let why = &report.refused[0].why;
    assert_eq!(*why, Refusal::TooLate { wait: Duration::MAX });
    assert!(why.to_string().contains("a year is the most"), "{why}");
    assert_eq!((bench.ids("mail"), bench.ids("mail.dead")), (names([0]), names([1])));
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_again_and_again_stays_unless_it_is_forced() {
    // Given a letter that is sent back and dies, as often as is allowed
    let bench = Bench::new().await;
    bench.fill("mail.dead", [7]);
    for _ in 0..MAX_REDRIVES {
        let report = bench.letters().redrive(Filter::id("7")).await.unwrap();
        assert_eq!(report.redriven.len(), 1, "{report}");
        let died = bench.broker.messages("mail").remove(0);
        assert_eq!(bench.broker.purge("mail"), 1);
        bench.put("mail.dead", &died);
    }

    // When it is to be sent once more, then it stays, also in a dry run, and goes only by force
    for dry in [true, false] {
        let order = bench.letters().redrive(Filter::all());
        let report = if dry { order.dry_run().await } else { order.await }.unwrap();
        assert_eq!(report.refused[0].why, Refusal::TooOften { times: MAX_REDRIVES });
        assert_eq!(bench.ids("mail.dead"), ["7"]);
    }
    let forced = bench.letters().redrive(Filter::all()).force().await.unwrap();
    assert_eq!(forced.redriven.len(), 1);
    assert_eq!(bench.ids("mail"), ["7"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_stays() {
    // Given a work queue that takes no more than two
    let small = Queue::new("small").max_length(1);
    let bench = Bench::new().await;
    bench.rabbit.declare(&small).await.unwrap();
    bench.fill("small.dead", 0..5);

    // When five are sent back
    let letters = DeadLetters::of(&bench.rabbit, &small);
    let report = letters.redrive(Filter::all()).await.unwrap();

    // Then those that were refused are still dead, in their order
    let stored = bench.ids("small").len() as u64;
    assert_eq!(report.redriven.len() as u64, stored, "{report}");
    assert!((1..5).contains(&stored));
    assert_eq!(bench.ids("small.dead"), names(stored..5));
    assert!(
        report
            .refused
            .iter()
            .all(|refused| matches!(refused.why, Refusal::NotStored(_)))
    );
}

#[tokio::test(start_paused = true)]
async fn discarded_letters_are_gone_and_no_others() {
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..100);
    let filter = Filter::reason("panicked").and(!Filter::id("0"));

    let dry = bench.letters().discard(filter.clone()).dry_run().await.unwrap();
    assert_eq!(bench.ids("mail.dead"), names(0..100));
    let report = bench.letters().discard(filter).await.unwrap();

    assert_eq!((report.discarded.len(), &report.discarded), (49, &dry.discarded));
    assert_eq!(
        bench.ids("mail.dead"),
        names((0..100).filter(|n| n % 2 == 1 || *n == 0))
    );
}

#[tokio::test(start_paused = true)]
async fn lost_letters_go_back_once_their_queue_is_there() {
    // Given letters of a queue that was deleted
    let bench = Bench::new().await;
    let mut lost = letter(1);
    lost.properties
        .headers
        .insert("leveret-failure-queue".to_owned(), "bills".into());
    bench.put("leveret.lost", &lost);
    bench.put("leveret.lost", &letter(2));
    let letters = DeadLetters::lost(&bench.rabbit);

    // When they are sent back, then the one whose queue exists goes
    let report = letters.redrive(Filter::all()).await.unwrap();
    assert_eq!((report.redriven.len(), report.refused.len()), (1, 1), "{report}");
    assert_eq!((bench.ids("mail"), bench.ids("leveret.lost")), (names([2]), names([1])));

    // And the other one once its queue is declared, which its definition is enough for
    let bills = Queue::new("bills");
    let report = letters.knowing(&bills).redrive(Filter::queue("bills")).await.unwrap();
    assert_eq!(report.redriven[0].queue, "bills");
    assert_eq!(bench.ids("bills"), names([1]));
    assert!(bench.ids("leveret.lost").is_empty());
}
