//! The demo's handlers, without RabbitMQ: a broker in memory, and a clock that does not have to be waited for.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use leveret::testing::TestBroker;
use leveret_demo::handlers::{Mailer, build_report, send_welcome, worker};
use leveret_demo::jobs::{BuildReport, SendWelcome};
use leveret_worker::testing::{self, Verdict};

fn welcome(address: &str) -> SendWelcome {
    SendWelcome {
        address: address.to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_does_not_get_out_is_tried_again_and_given_up_after_eight_attempts() {
    // Given a mail service that always fails
    let run = |attempt| {
        let mailer = Mailer { failing: 1.0 };
        testing::run(send_welcome, welcome("ann@example.org"))
            .state(mailer)
            .attempt(attempt)
    };

    // When a mail is sent, then it is tried again, but not for ever
    assert!(matches!(run(1).await.verdict(), Verdict::Retry { .. }));
    let last = run(8).await;
    assert!(matches!(last.verdict(), Verdict::DeadLetter { .. }), "{last:?}");
    assert_eq!(last.error(), Some("the mail service is busy"));
}

#[tokio::test(start_paused = true)]
async fn there_is_no_thirteenth_month() {
    let report = |month| testing::run(build_report, BuildReport { year: 2026, month });

    report(12).await.assert_done();
    let impossible = report(13).await;

    assert!(
        matches!(impossible.verdict(), Verdict::DeadLetter { reason: "rejected", .. }),
        "{impossible:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_whole_worker_does_its_jobs_and_keeps_what_cannot_be_done() {
    // Given jobs in both queues, one of which is impossible
    let broker = TestBroker::new();
    let producer = broker.producer();
    for user in 0..20 {
        let address = format!("user-{user}@example.org");
        producer.enqueue(SendWelcome { address }).await.unwrap();
    }
    for month in [3, 13] {
        producer.enqueue(BuildReport { year: 2026, month }).await.unwrap();
    }

    // When the worker has done what there was to do
    let worker = worker(broker.url(), Mailer { failing: 0.0 }).build().unwrap();
    let report = worker.run_until_idle(&broker).await.unwrap();

    // Then all are done but that one, which says why
    assert_eq!(report.queue("demo-mail").unwrap().completed, 20);
    assert_eq!(report.queue("demo-reports").unwrap().completed, 1);
    let dead = broker.dead_letters::<BuildReport>();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].error().contains("no month 13"), "{}", dead[0].error());
}
