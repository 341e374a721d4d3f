//! Connections that end in the midst of an inspection: nothing is lost, and what is there twice has one id.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPoint, Moment};
use leveret::{Filter, Imported, RedriveEvent};

use super::{Bench, names};

#[tokio::test(start_paused = true)]
async fn fifty_losses_in_the_midst_of_a_scan_leave_the_queue_as_it_was() {
    // Given a queue of letters
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..100);

    for round in 0..50u64 {
        // When the connection is lost before, while or after they are handed out
        let mut delivered = 0;
        bench.broker.set_faults(move |point| {
            delivered += u64::from(point == FaultPoint::Deliver);
            match point {
                FaultPoint::Deliver if delivered == 2 * round + 1 => Fault::LoseConnection(Moment::Before),
                _ => Fault::None,
            }
        });
        let error = bench.letters().list(Filter::all()).await.unwrap_err();

        // Then the scan says so, and nothing has moved
        assert!(error.to_string().contains("mail.dead"), "{error}");
        assert_eq!(bench.ids("mail.dead"), names(0..100), "round {round}");
    }
    bench.broker.set_faults(|_| Fault::None);
    let listing = bench.letters().list(Filter::all()).await.unwrap();
    assert_eq!(listing.found.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn an_inspection_that_is_given_up_puts_everything_back() {
    // Given letters that are held because no publish is answered
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..100);
    bench.broker.set_faults(|point| match point {
        FaultPoint::Publish => Fault::LoseAnswer,
        _ => Fault::None,
    });
    let held = tokio::spawn(bench.letters().redrive(Filter::all()).into_future());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(bench.ids("mail.dead").is_empty());

    // When the caller stops waiting
    held.abort();
    assert!(held.await.is_err());

    // Then nothing is held, and the next one is not kept out
    assert_eq!(bench.ids("mail.dead"), names(0..100));
    let listing = bench.letters().list(Filter::all()).await.unwrap();
    assert_eq!(listing.found.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_loss_between_confirm_and_ack_leaves_one_job_twice_and_none_lost() {
    // Given twenty letters, sent back one by one, and a connection that is lost after the fifth confirm
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..20);
    let (confirms, broker) = (Arc::new(AtomicU32::new(0)), bench.broker.clone());
    let counted = Arc::clone(&confirms);
    let order = bench.letters().redrive(Filter::all()).one_by_one();
    let cut = move |event: &RedriveEvent<'_>| {
        if matches!(event, RedriveEvent::Confirmed(_)) && counted.fetch_add(1, Ordering::Relaxed) == 4 {
            broker.drop_connections_named("leveret (inspect)");
        }
    };

    // When they are sent
    let report = order.on_event(cut).await.unwrap();

    // Then five are at work, the fifth is among the dead as well, and the report says what that means
    assert_eq!(confirms.load(Ordering::Relaxed), 5);
    assert_eq!(bench.ids("mail"), names(0..5));
    assert_eq!(bench.ids("mail.dead"), names(4..20));
    let stopped = report.stopped.unwrap();
    assert!(stopped.contains("same ids"), "{stopped}");

    // And a second redrive sends the others, and that one again
    let again = bench.letters().redrive(Filter::all()).await.unwrap();
    assert_eq!(again.redriven.len(), 16, "{again}");
    assert_eq!(bench.ids("mail"), names((0..5).chain(4..20)));
    assert!(bench.ids("mail.dead").is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_no_publish_is_answered_no_letter_is_removed() {
    // Given a broker that stores what is published and answers nothing
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..5);
    bench.broker.set_faults(|point| match point {
        FaultPoint::Publish => Fault::LoseAnswer,
        _ => Fault::None,
    });

    // When letters are sent back
    let report = bench.letters().redrive(Filter::all()).await.unwrap();

    // Then all are still dead, and nothing is reported as sent
    assert_eq!((report.redriven.len(), report.stopped.is_some()), (0, true), "{report}");
    assert_eq!(bench.ids("mail.dead"), names(0..5));
}

#[tokio::test(start_paused = true)]
async fn an_import_ends_with_the_first_line_that_is_not_answered_for() {
    // Given an export, and a broker that answers no publish
    let bench = Bench::new().await;
    bench.fill("mail.dead", 0..400);
    let text = bench.letters().export(Filter::all()).await.unwrap().to_text();
    bench.broker.purge("mail.dead");
    bench.broker.set_faults(|point| match point {
        FaultPoint::Publish => Fault::LoseAnswer,
        _ => Fault::None,
    });

    // When it is imported
    let report = bench.letters().import(text).await.unwrap();

    // Then only those that were on their way were sent, and the rest says that it was not
    let count = |is: fn(&Imported) -> bool| report.lines.iter().filter(|line| is(&line.outcome)).count();
    let sent = count(|outcome| matches!(outcome, Imported::NotStored(_)));
    let rest = count(|outcome| *outcome == Imported::NotTried);
    assert_eq!((report.lines.len(), sent + rest), (400, 400), "{report}");
    assert!((1..=100).contains(&sent), "{report}");
    assert!(report.to_string().contains("300 not tried"), "{report}");
    assert_eq!(report.lines[399].id.as_ref().unwrap().as_str(), "399");
}
