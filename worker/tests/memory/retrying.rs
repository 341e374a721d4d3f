//! Which policy a failed job is tried again by, what rules about errors change, and what is remembered of its attempts.

use std::fmt;
use std::time::Duration;

use leveret::envelope::History;
use leveret::{Backoff, RetryPolicy};
use leveret_worker::{Context, ErrorClass, FromContext, Handler, JobError, Retry, State, WorkerBuilder, async_trait};

use crate::kit::*;

const fn attempts(number: u32) -> RetryPolicy {
    RetryPolicy::new(number, Backoff::none())
}

#[derive(Debug, Clone, Copy)]
struct MailError {
    temporary: bool,
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.temporary {
            "greylisted"
        } else {
            "no such mailbox"
        })
    }
}

impl std::error::Error for MailError {}

async fn fail(note: Note, State(probe): State<Probe>, context: Context) -> Result<(), MailError> {
    probe.run(note.number, &context);
    Err(MailError {
        temporary: note.number.is_multiple_of(2),
    })
}

/// Runs job 7 with a handler that always fails: the attempt that made the dead letter, and the reason.
async fn end_of(set: impl FnOnce(WorkerBuilder) -> WorkerBuilder, max_attempts: Option<u32>) -> (i64, String) {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(set(stand.worker().state(probe))).await;
    let job = stand.producer.enqueue(Note { number: 7 });
    let job = match max_attempts {
        Some(attempts) => job.max_attempts(attempts),
        None => job,
    };
    job.await.expect("stored");
    let dead = stand.dead_letters(1).await.remove(0);
    let last = int(&dead, "leveret-attempt").expect("a number");
    for attempt in 1..=last {
        assert_eq!(watch.started().await, (7, u32::try_from(attempt).expect("few")));
    }
    assert!(watch.nothing_started());
    drop(running);
    (last, text(&dead, "leveret-failure-reason").to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_more_particular_of_two_policies_holds() {
    // Given a type with three attempts; one after the other is set on top of it
    let with = |last: usize| {
        move |builder: WorkerBuilder| {
            let mut builder = builder.register(fail);
            for level in 0..=last {
                builder = match level {
                    0 => builder,
                    1 => builder.retry(attempts(4)),
                    2 => builder.retry_on(&MAIL, attempts(5)),
                    3 => builder.retry_for::<Note>(attempts(6)),
                    _ => builder.retry_by(|note: &Note| attempts(u32::try_from(note.number).expect("small"))),
                };
            }
            builder
        }
    };
    for (last, expected) in [(0, 3), (1, 4), (2, 5), (3, 6), (4, 7)] {
        assert_eq!(end_of(with(last), None).await.0, expected, "level {last}");
    }
    // What the producer says of one job wins over all of them
    assert_eq!(end_of(with(4), Some(2)).await.0, 2);
    // and a rule about the error over the policy, but not over that number
    let ruled = |builder| with(4)(builder).retry_if(|_: &MailError| Retry::With(attempts(9)));
    assert_eq!(end_of(ruled, None).await.0, 9);
    assert_eq!(end_of(ruled, Some(2)).await.0, 2);
}

struct Courier;

#[async_trait]
impl Handler<Note> for Courier {
    type Output = Result<(), MailError>;

    async fn run(&self, note: Note, context: Context) -> Self::Output {
        assert_eq!(context.max_attempts(), 2, "it is known while the job runs");
        let probe = <State<Probe> as FromContext>::from_context(&context)
            .await
            .expect("given");
        fail(note, probe, context).await
    }

    fn retry_policy(&self, note: &Note) -> Option<RetryPolicy> {
        (note.number == 7).then_some(attempts(2))
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_type_says_how_each_of_its_jobs_is_tried_again() {
    let end = end_of(|builder| builder.register(Courier).retry(attempts(20)), None).await;
    assert_eq!(end, (2, "failed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_a_dead_letter_at_once_however_it_is_wrapped() {
    async fn plain(note: Note, State(probe): State<Probe>, context: Context) -> Result<(), MailError> {
        fail(note, State(probe), context).await
    }
    async fn anyhow(note: Note, State(probe): State<Probe>, context: Context) -> anyhow::Result<()> {
        fail(note, State(probe), context).await?;
        Ok(())
    }
    async fn with_context(note: Note, State(probe): State<Probe>, context: Context) -> anyhow::Result<()> {
        use anyhow::Context as _;
        fail(note, State(probe), context).await.context("sending")?;
        Ok(())
    }
    async fn boxed(
        note: Note,
        State(probe): State<Probe>,
        context: Context,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(fail(note, State(probe), context).await?)
    }
    let permanent = (1, "rejected".to_owned());
    let rule = |error: &MailError| error.temporary;
    assert_eq!(
        end_of(|builder| builder.register(plain).retry_if(rule), None).await,
        permanent
    );
    assert_eq!(
        end_of(|builder| builder.register(anyhow).retry_if(rule), None).await,
        permanent
    );
    assert_eq!(
        end_of(|builder| builder.register(with_context).retry_if(rule), None).await,
        permanent
    );
    assert_eq!(
        end_of(|builder| builder.register(boxed).retry_if(rule), None).await,
        permanent
    );
    let of_the_type = |builder: WorkerBuilder| {
        let builder = builder.register(plain).retry_if(|_: &MailError| true);
        builder.retry_if_for::<Note, _, _>(rule)
    };
    assert_eq!(end_of(of_the_type, None).await, permanent);
    let of_others = |builder: WorkerBuilder| builder.register(plain).retry_if(|_: &std::io::Error| false);
    assert_eq!(end_of(of_others, None).await, (3, "failed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_temporary_error_is_tried_again_as_the_policy_says() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let builder = stand.worker().state(probe).register(fail);
    let running = Running::start(builder.retry_if(|error: &MailError| error.temporary)).await;

    stand.enqueue([8]).await;

    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-reason"), "failed");
    for attempt in 1..=3 {
        assert_eq!(watch.started().await, (8, attempt));
    }
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn rules_see_panics_timeouts_and_the_number_of_the_attempt() {
    async fn hang(note: Note, State(probe): State<Probe>, context: Context) {
        probe.run(note.number, &context);
        if context.attempt() == 2 {
            panic!("no second time");
        }
        std::future::pending::<()>().await;
    }
    let only_once = |class| {
        move |builder: WorkerBuilder| {
            builder
                .register(hang)
                .retry_rule(move |failed| (failed.class() == class).then_some(Retry::Never))
        }
    };
    let (timed_out, panicked) = ((1, "timed_out".to_owned()), (2, "panicked".to_owned()));
    assert_eq!(end_of(only_once(ErrorClass::TimedOut), None).await, timed_out);
    assert_eq!(end_of(only_once(ErrorClass::Panicked), None).await, panicked);
    assert_eq!(
        end_of(only_once(ErrorClass::Failed), None).await,
        (3, "timed_out".to_owned())
    );
    let only_twice = |builder: WorkerBuilder| {
        let builder = builder.register(fail);
        builder.retry_rule(|failed| (failed.attempt() >= 2).then_some(Retry::Never))
    };
    assert_eq!(end_of(only_twice, None).await, (2, "rejected".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_the_error_asks_for_wins_over_rules_and_a_rule_that_panics_is_a_panic() {
    async fn reject(note: Note, State(probe): State<Probe>, context: Context) -> Result<(), JobError> {
        match fail(note, State(probe), context).await {
            Err(error) => Err(JobError::reject(error)),
            Ok(()) => Ok(()),
        }
    }
    let tolerant = |builder: WorkerBuilder| builder.register(reject).retry_rule(|_| Some(Retry::With(attempts(9))));
    assert_eq!(end_of(tolerant, None).await, (1, "rejected".to_owned()));
    let broken = |builder: WorkerBuilder| builder.register(fail).retry_rule(|_| panic!("in the rule"));
    assert_eq!(end_of(broken, None).await, (3, "panicked".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_jobs_failed_attempts_are_told_to_the_next_and_to_whoever_reads_the_dead_letter() {
    // Given a handler that fails in another way each time
    let stand = Stand::new();
    let fail = async |_: Note, context: Context| -> Result<(), String> {
        let past: Vec<u32> = context.history().attempts().iter().map(|past| past.attempt).collect();
        assert_eq!(past, (1..context.attempt()).collect::<Vec<_>>());
        match context.attempt() {
            1 => Err("no route".to_owned()),
            2 => panic!("no handler"),
            _ => std::future::pending().await,
        }
    };
    let running = Running::start(stand.worker().register(fail)).await;

    // When
    stand.enqueue([7]).await;

    // Then
    let dead = stand.dead_letters(1).await.remove(0);
    let history = History::read(&dead);
    let told: Vec<_> = history
        .attempts()
        .iter()
        .map(|past| {
            (
                past.attempt,
                past.reason.as_str(),
                past.error.as_str(),
                past.worker.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, "failed", "no route", "tests"),
            (2, "panicked", "the handler panicked: no handler", "tests"),
            (3, "timed_out", "the attempt ran longer than its limit of 30s", "tests"),
        ]
    );
    assert!(history.attempts().windows(2).all(|two| two[0].at <= two[1].at));
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_run_again_on_its_delivery_is_remembered_as_well() {
    // Given a broker that takes no retries, so that the next attempt is made on the delivery in hand
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail_once = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.hold(note.number, &context).await;
        match context.history().last() {
            None => Err("the first".to_owned()),
            Some(past) => {
                assert_eq!((past.attempt, past.error.as_str()), (1, "the first"));
                Ok(())
            }
        }
    };
    let running = Running::start(stand.worker().state(probe).register(fail_once)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));
    stand.nack_publishes();

    // When the first attempt fails
    watch.let_go(2);

    // Then the second knows of it
    assert_eq!(watch.started().await, (7, 2));
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.retried), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_queue_has_a_time_limit_of_its_own_for_jobs_whose_type_sets_none() {
    let limits = |builder: WorkerBuilder| {
        builder
            .job_timeout(Duration::from_secs(100))
            .job_timeout_on(&MAIL, Duration::from_secs(50))
    };
    for (own_queue, expected) in [(MAIL, 50), (leveret::Queue::new("other"), 100)] {
        let stand = Stand::new();
        let (probe, mut watch) = probe();
        let run = async |_: Unlimited, State(probe): State<Probe>, context: Context| {
            probe.run(context.timeout().as_secs(), &context);
        };
        let builder = limits(stand.worker().state(probe).register(run)).route::<Unlimited>(own_queue.clone());
        let running = Running::start(builder).await;
        let job = stand.producer.enqueue(Unlimited {});
        job.queue(&own_queue).await.expect("stored");
        assert_eq!(watch.started().await, (expected, 1));
        drop(running);
    }
}

#[derive(Debug, serde::Serialize, serde::Deserialize, leveret::Job)]
#[job(queue = "unlimited")]
struct Unlimited {}
