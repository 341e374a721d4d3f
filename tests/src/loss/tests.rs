use super::*;

const FIRST: Run = Run {
    attempt: 1,
    hop: 0,
    redelivered: false,
    resent: false,
};

#[test]
fn a_confirmed_job_that_never_ended_is_lost() {
    // Given two confirmed jobs
    let book = LossBook::new();
    book.enqueued("a", Fate::Confirmed);
    book.enqueued("b", Fate::Confirmed);

    // When one ends and the other only starts
    book.ran_to_end("a", FIRST);
    book.ran("b", FIRST);

    // Then the other is lost
    let report = book.report();
    assert_eq!((report.confirmed, report.done), (2, 1));
    assert_eq!(report.lost, ["b"]);
}

#[test]
fn a_job_of_unknown_fate_may_run_or_not() {
    // Given two jobs whose fate nobody knows
    let book = LossBook::new();
    book.enqueued("a", Fate::Unknown);
    book.enqueued("b", Fate::Unknown);

    // When one of them runs
    book.ran_to_end("a", FIRST);

    // Then nothing is wrong
    let report = book.report();
    assert_eq!(report.unknown, 2);
    report.assert_sound();
}

#[test]
fn a_job_that_was_refused_and_runs_is_a_ghost() {
    // Given a refused job, and one that was not sent
    let book = LossBook::new();
    book.enqueued("a", Fate::Refused);
    book.enqueued("b", Fate::NotSent);

    // When one of them runs, and one that nobody enqueued
    book.ran_to_end("b", FIRST);
    book.ran_to_end("c", FIRST);

    // Then both are ghosts
    let report = book.report();
    assert_eq!(report.refused, 2);
    assert_eq!(report.ghosts, ["b", "c"]);
}

#[test]
fn the_marked_one_of_two_runs_may_come_first() {
    for marked in [
        Run {
            redelivered: true,
            ..FIRST
        },
        Run { resent: true, ..FIRST },
    ] {
        for runs in [[FIRST, marked], [marked, FIRST]] {
            // Given a job that ran twice, once marked
            let book = LossBook::new();
            book.enqueued("a", Fate::Confirmed);
            runs.into_iter().for_each(|run| book.ran_to_end("a", run));

            // When the book is read, then it is a duplicate with an explanation
            let report = book.report();
            assert_eq!(report.duplicates, ["a"]);
            report.assert_sound();
        }
    }
}

#[test]
fn two_unmarked_runs_of_one_message_have_no_explanation() {
    // Given a job that ran twice, and nobody said why
    let book = LossBook::new();
    book.enqueued("a", Fate::Confirmed);
    book.ran_to_end("a", FIRST);
    book.ran_to_end("a", FIRST);

    // When the book is read, then that is reported
    assert_eq!(book.report().unexplained_duplicates, ["a"]);
}

#[test]
fn a_retry_is_not_a_duplicate() {
    // Given a job that failed, was snoozed and then succeeded
    let book = LossBook::new();
    book.enqueued("a", Fate::Confirmed);
    book.ran("a", FIRST);
    book.ran(
        "a",
        Run {
            attempt: 2,
            hop: 1,
            ..FIRST
        },
    );
    book.ran_to_end(
        "a",
        Run {
            attempt: 2,
            hop: 2,
            ..FIRST
        },
    );

    // When the book is read, then it ran as it should
    assert_eq!(book.report().duplicates, Vec::<String>::new());
    book.report().assert_sound();
}

#[tokio::test]
async fn a_job_done_twice_counts_once_for_those_who_wait() {
    // Given a job done twice
    let book = LossBook::new();
    book.ran_to_end("a", FIRST);
    book.ran_to_end("a", FIRST);

    // When the test waits for one, then there is one
    book.wait_for_done(1).await;
    assert_eq!(book.done_counter().count(), 1);
}
