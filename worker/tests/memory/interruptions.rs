//! What is not a failure, and what happens to the handlers of jobs that are interrupted.

use std::time::Duration;

use leveret_worker::{Cause, Context, Interruption, QueueState, State, WorkerBuilder};
use tokio::time::Instant;

use crate::kit::*;

/// What takes a running job away from a worker: its name, what the job is told, and the deed.
type Taker = (&'static str, Cause, fn(&Stand));

const TAKERS: [Taker; 5] = [
    ("a lost connection", Cause::LeaseLost, |stand| {
        stand.broker.drop_connections_named("leveret (consume)");
    }),
    ("a consumer timeout up to 4.2", Cause::LeaseLost, |stand| {
        stand.broker.time_out_channels_of("mail");
    }),
    ("a consumer timeout from 4.3 on", Cause::ConsumerCancelled, |stand| {
        stand.broker.expire_deliveries_of("mail");
    }),
    ("a closed channel", Cause::LeaseLost, |stand| {
        stand.broker.kill_channels_of("mail")
    }),
    ("a cancelled consumer", Cause::ConsumerCancelled, |stand| {
        stand.broker.cancel_consumers("mail");
    }),
];

#[tokio::test(start_paused = true)]
async fn nothing_that_takes_a_job_away_costs_it_an_attempt() {
    for (taker, expected, take) in TAKERS {
        // Given a job with one attempt, and a handler that gives up when it is asked to, and succeeds the second time
        let stand = Stand::new();
        let (probe, mut watch) = probe();
        let polite = move |note: Note, State(probe): State<Probe>, context: Context| async move {
            probe.run(note.number, &context);
            if context.is_redelivered() {
                return Ok(());
            }
            assert_eq!(context.cancelled().await, expected);
            Err("stopped")
        };
        let running = Running::start(stand.worker().state(probe).register(polite)).await;
        let job = stand.producer.enqueue(Note { number: 7 });
        job.max_attempts(1).await.expect("stored");
        assert_eq!(watch.started().await, (7, 1), "{taker}");

        // When the job is taken away
        take(&stand);

        // Then it runs again as what it was, and nothing has failed
        assert_eq!(watch.started().await, (7, 1), "{taker}");
        stand.wait_for_empty("mail").await;
        let dead = stand.broker.depth("mail.dead").expect("declared").ready;
        let report = running.stop_mail().await;
        let failed = (report.failed, report.retried, dead);
        assert_eq!(
            (report.completed, report.interrupted, failed),
            (1, 1, (0, 0, 0)),
            "{taker}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_retry_of_a_job_that_came_twice_says_that_it_may_be_the_second() {
    // Given a job that comes again because its connection was lost: a retry of it may be stored of which only the ack was lost
    for cuts in [true, false] {
        let stand = Stand::new();
        let (probe, mut watch) = probe();
        let failing = move |note: Note, State(probe): State<Probe>, context: Context| async move {
            probe.run(note.number, &context);
            if cuts && !context.is_redelivered() {
                context.cancelled().await;
            }
            Err::<(), _>("failed")
        };
        let running = Running::start(stand.worker().state(probe).register(failing)).await;
        stand.enqueue([7]).await;
        assert_eq!(watch.started().await, (7, 1));
        if cuts {
            stand.cut_consuming(&running).await;
            assert_eq!(watch.started().await, (7, 1));
        }

        // When it fails
        stand.wait_for_empty("mail").await;

        // Then its retry tells, and that of a job that came once does not
        let retries = stand.delayed();
        let told = retries
            .iter()
            .map(|retry| retry.properties.headers.contains_key("leveret-resent"));
        assert_eq!(told.collect::<Vec<_>>(), [cuts]);
        drop(running);
    }
}

#[tokio::test(start_paused = true)]
async fn any_number_of_shutdowns_costs_no_attempt() {
    // Given a job with one attempt, and handlers that never end by themselves
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let endless = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        match note.number {
            1 => Err(format!("{:?}", context.cancelled().await)),
            _ => std::future::pending().await,
        }
    };
    stand.rabbit.declare(&MAIL).await.expect("declared");
    for number in [1, 2] {
        let job = stand.producer.enqueue(Note { number });
        job.max_attempts(1)
            .timeout(Duration::from_secs(600))
            .await
            .expect("stored");
    }

    // When worker after worker is shut down: one job gives up, the other is aborted at the end of the grace
    for _ in 0..20 {
        let running = Running::start(stand.worker().state(probe.clone()).register(endless)).await;
        let mut started = [watch.started().await, watch.started().await];
        started.sort_unstable();
        assert_eq!(started, [(1, 1), (2, 1)]);
        let report = running.stop_mail().await;
        assert_eq!((report.interrupted, report.failed, report.dead_lettered), (2, 0, 0));
    }

    // Then both are still what they were
    stand
        .wait_for("mail", |depth| (depth.ready, depth.unacked) == (2, 0))
        .await;
    assert_eq!(stand.broker.depth("mail.dead").map(|depth| depth.ready), Some(0));
}

/// A worker whose handlers end only when they are let go.
fn holding(stand: &Stand, probe: Probe, interruption: Interruption) -> WorkerBuilder {
    let hold = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.hold(note.number, &context).await;
    };
    stand
        .worker()
        .state(probe)
        .register(hold)
        .interruption::<Note>(interruption)
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_to_be_cancelled_is_dropped_as_soon_as_it_is_taken_away() {
    for (taker, _, take) in TAKERS {
        let stand = Stand::new();
        let (probe, mut watch) = probe();
        let running = Running::start(holding(&stand, probe, Interruption::Cancel)).await;
        stand.enqueue([7]).await;
        assert_eq!(watch.started().await, (7, 1), "{taker}");

        // When the job is taken away, its handler is dropped, and the redelivery begins anew
        take(&stand);
        assert_eq!(watch.started().await, (7, 1), "{taker}");
        settled_down().await;
        watch.let_go(1);

        // Then one run has ended
        assert_eq!(watch.ended().await, 7);
        stand.wait_for_empty("mail").await;
        assert!(watch.nothing_started());
        let report = running.stop_mail().await;
        assert_eq!(
            (report.completed, report.interrupted, report.failed),
            (1, 1, 0),
            "{taker}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_to_finish_runs_once_whatever_takes_it_away() {
    for interruption in [Interruption::Grace, Interruption::Finish] {
        for (taker, _, take) in TAKERS {
            let stand = Stand::new();
            let (probe, mut watch) = probe();
            let running = Running::start(holding(&stand, probe, interruption)).await;
            stand.enqueue([7]).await;
            assert_eq!(watch.started().await, (7, 1), "{taker}");

            take(&stand);
            settled_down().await;
            watch.let_go(1);

            stand.wait_for_empty("mail").await;
            assert!(watch.nothing_started(), "{taker}");
            let report = running.stop_mail().await;
            assert_eq!(
                (report.completed, report.interrupted, report.failed),
                (1, 0, 0),
                "{taker}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_drops_waits_or_waits_longer_as_the_job_type_says() {
    // Given jobs that take 20 seconds, and a grace of 10
    for (interruption, seconds, completed, clean) in [
        (Interruption::Cancel, 0, 0, true),
        (Interruption::Grace, 10, 0, false),
        (Interruption::Finish, 20, 1, true),
    ] {
        let stand = Stand::new();
        let (probe, mut watch) = probe();
        let run = async |note: Note, State(probe): State<Probe>, context: Context| {
            probe.run(note.number, &context);
            tokio::time::sleep(Duration::from_secs(20)).await;
        };
        let builder = stand
            .worker()
            .state(probe)
            .register(run)
            .interruption::<Note>(interruption);
        let running = Running::start(builder.shutdown_grace(Duration::from_secs(10))).await;
        stand.enqueue([7]).await;
        assert_eq!(watch.started().await, (7, 1));

        // When
        let before = Instant::now();
        let report = running.stop().await;

        // Then
        let mail = report.queue("mail").expect("consumed");
        let found = (before.elapsed().as_secs(), mail.completed, report.is_clean());
        assert_eq!(found, (seconds, completed, clean), "{interruption:?}");
        assert_eq!(mail.failed, 0);
        let left = usize::from(completed == 0);
        stand
            .wait_for("mail", |depth| (depth.ready, depth.unacked) == (left, 0))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_to_finish_still_ends_at_its_time_limit_and_at_a_second_signal() {
    for (aborted, seconds) in [(false, 30), (true, 0)] {
        let stand = Stand::new();
        let (probe, mut watch) = probe();
        let running = Running::start(holding(&stand, probe, Interruption::Finish)).await;
        stand.enqueue([7]).await;
        assert_eq!(watch.started().await, (7, 1));

        let before = Instant::now();
        running.handle.shutdown();
        if aborted {
            running.handle.abort();
        }
        let report = running.join().await;

        assert_eq!(before.elapsed().as_secs(), seconds);
        // A job that was aborted has not failed; one that ran too long has, and its retry is stored before the end
        let mail = report.queue("mail").expect("consumed");
        let expected = if aborted { (0, 0, 1) } else { (1, 1, 0) };
        assert_eq!((mail.failed, mail.retried, mail.left_unacked), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_the_retry_of_a_job_that_must_finish_as_long_as_for_one_confirm() {
    // Given a job that has failed, and a broker that refuses its retry
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fails = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.hold(note.number, &context).await;
        Err::<(), _>("the mail server is away")
    };
    let builder = stand.worker().state(probe).register(fails);
    let builder = builder.interruption::<Note>(Interruption::Finish);
    let running = Running::start(builder.shutdown_grace(Duration::from_secs(10))).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));
    stand.nack_publishes();
    watch.let_go(1);
    settled_down().await;

    // When the worker is shut down
    let before = Instant::now();
    let report = running.stop().await;

    // Then it waits for the grace, a confirm of 30 seconds and at most 2 to give the job back
    let waited = before.elapsed().as_secs();
    assert!((40..=42).contains(&waited), "{waited}");
    assert_eq!(report.queue("mail").map(|mail| mail.left_unacked), Some(1));
    stand
        .wait_for("mail", |depth| (depth.ready, depth.unacked) == (1, 0))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_timeout_is_explained() {
    for (take, parts) in [
        (
            1,
            [
                "the queue `mail`",
                "consumer_timeout of 1800s",
                "the job `note`",
                "No attempt is spent",
            ],
        ),
        (
            2,
            [
                "the queue `mail`",
                "from RabbitMQ 4.3 on",
                "the job `note`",
                "No attempt is spent",
            ],
        ),
    ] {
        let stand = Stand::new();
        let (probe, mut watch) = probe();
        let running = Running::start(holding(&stand, probe, Interruption::Grace)).await;
        stand.enqueue([7]).await;
        assert_eq!(watch.started().await, (7, 1));
        let state = running.handle.state();

        (TAKERS[take].2)(&stand);

        let state = running.handle.changed(&state).await;
        let QueueState::Down { error } = &state["mail"] else {
            panic!("it is {state:?}")
        };
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
        watch.let_go(1);
        stand.wait_for_empty("mail").await;
        drop(running);
    }
}
