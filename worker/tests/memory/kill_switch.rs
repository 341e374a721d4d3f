//! The kill switch: a queue whose jobs mostly fail is left alone, and tried one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use leveret_worker::{
    BoxError, Context, JobError, KillSwitch, Outcome, QueueReport, QueueState, State, Worker, WorkerBuilder,
};

use crate::kit::*;

/// What the jobs depend on.
#[derive(Clone, Default)]
struct Dependency {
    is_away: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

impl Dependency {
    fn away() -> Self {
        let dependency = Self::default();
        dependency.is_away.store(true, Ordering::SeqCst);
        dependency
    }

    fn heal(&self) {
        self.is_away.store(false, Ordering::SeqCst);
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn depends(_: Note, State(dependency): State<Dependency>) -> Result<(), &'static str> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    dependency.asked.fetch_add(1, Ordering::SeqCst);
    match dependency.is_away.load(Ordering::SeqCst) {
        true => Err("the mail server is away"),
        false => Ok(()),
    }
}

fn switch() -> KillSwitch {
    KillSwitch::new()
        .threshold(80)
        .minimum(20)
        .pause(Duration::from_secs(30))
        .probes(3)
}

/// Waits until the queue is in a state.
async fn wait_for_state(running: &Running, what: &str, wanted: impl Fn(&QueueState) -> bool) {
    let reached = async {
        loop {
            let state = running.handle.state();
            if wanted(&state["mail"]) {
                return;
            }
            running.handle.changed(&state).await;
        }
    };
    let soon = tokio::time::timeout(Duration::from_secs(7_200), reached).await;
    assert!(soon.is_ok(), "{what}: {:?}", running.handle.state());
}

fn is_paused(state: &QueueState) -> bool {
    matches!(state, QueueState::Paused { reason } if reason.contains("kill switch"))
}

fn is_probing(state: &QueueState) -> bool {
    matches!(state, QueueState::Probing { .. })
}

/// 500 jobs of at most three attempts in an outage of ten minutes; what was done, and how often the dependency was asked in the outage.
async fn an_outage(with: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> (Stand, QueueReport, u64) {
    let stand = Stand::new();
    let dependency = Dependency::away();
    stand.enqueue(0..500).await;
    let builder = stand.worker().state(dependency.clone()).register(depends);
    let running = Running::start_unready(with(builder.concurrency(&MAIL, 10)));
    tokio::time::sleep(Duration::from_secs(600)).await;
    let asked = dependency.asked();
    dependency.heal();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    (stand, report, asked)
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_what_jobs_depend_on_makes_no_dead_letters() {
    let (stand, mail, asked) = an_outage(|builder| builder.kill_switch(&MAIL, switch())).await;

    // Twenty attempts tripped it, beside which nine ran; and then one job every 30 seconds
    assert_eq!((mail.completed, mail.dead_lettered), (500, 0));
    assert_eq!((mail.failed, mail.retried), (asked, asked));
    assert!((20 + 15..=20 + 9 + 20).contains(&asked), "{asked} attempts failed");
    assert!(stand.broker.messages("mail.dead").is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_it_the_same_outage_makes_a_dead_letter_of_every_job() {
    let (_, mail, asked) = an_outage(|builder| builder).await;
    assert_eq!((mail.completed, mail.dead_lettered, asked), (0, 500, 1_500));
}

#[tokio::test(start_paused = true)]
async fn what_it_does_is_seen_and_what_was_not_started_goes_back() {
    // Given a worker with more in hand than it runs
    let stand = Stand::new();
    let dependency = Dependency::away();
    stand.enqueue(0..100).await;
    let builder = stand.worker().state(dependency.clone()).register(depends);
    let builder = builder
        .concurrency(&MAIL, 10)
        .prefetch(&MAIL, 40)
        .kill_switch(&MAIL, switch());
    let running = Running::start_unready(builder);

    // When all of them fail, then nothing is in hand any more, and nothing is asked for 30 seconds
    wait_for_state(&running, "paused", is_paused).await;
    stand.wait_for("mail", |depth| depth.unacked == 0).await;
    assert!(!running.handle.is_ready() && running.handle.health().is_alive());
    let asked = dependency.asked();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(
        (dependency.asked(), stand.broker.depth("mail").unwrap().unacked),
        (asked, 0)
    );

    // And then a single job, and the same again
    for probe in 1..=3 {
        wait_for_state(&running, "probing", is_probing).await;
        wait_for_state(&running, "paused again", is_paused).await;
        stand.wait_for("mail", |depth| depth.unacked == 0).await;
        assert_eq!(dependency.asked(), asked + probe);
    }

    // And once it is healed, three single jobs, and then all
    dependency.heal();
    wait_for_state(&running, "going on", |state| *state == QueueState::Consuming).await;
    assert_eq!(dependency.asked(), asked + 3 + 3);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    stand.wait_for_empty("mail").await;
    let mail = running.stop_mail().await;
    assert_eq!((mail.completed, mail.dead_lettered), (100, 0));
    assert!(mail.returned > 0, "{mail:?}");
}

#[tokio::test(start_paused = true)]
async fn jobs_that_outlast_the_pause_are_no_probes_and_keep_their_leases() {
    for fails in [true, false] {
        // Given a switch that has tripped while five long jobs ran, with a pause that is over before they are
        let stand = Stand::new();
        let (probe, mut watch) = probe();
        let run = move |note: Note, State(probe): State<Probe>, context: Context| async move {
            match note.number {
                0..10 => return Err("the mail server is away"),
                100.. => probe.hold(note.number, &context).await,
                _ => {}
            }
            if fails && note.number == 100 {
                Err("no answer")
            } else {
                Ok(())
            }
        };
        let builder = stand.worker().state(probe).register(run).concurrency(&MAIL, 6);
        let rules = KillSwitch::new()
            .minimum(10)
            .threshold(100)
            .pause(Duration::from_secs(30));
        let running = Running::start(builder.kill_switch(&MAIL, rules.probes(1))).await;
        for number in 100..105 {
            let job = stand.producer.enqueue(Note { number });
            job.max_attempts(1)
                .timeout(Duration::from_secs(1_200))
                .await
                .expect("stored");
            assert_eq!(watch.started().await, (number, 1));
        }
        for number in 0..10 {
            let job = stand.producer.enqueue(Note { number });
            job.max_attempts(1).await.expect("stored");
        }
        wait_for_state(&running, "paused", is_paused).await;
        tokio::time::sleep(Duration::from_secs(60)).await;

        // When one of them ends, then another worker is given none of them
        watch.let_go(1);
        assert_eq!(watch.ended().await, 100);
        settled_down().await;
        assert!(is_paused(&running.handle.state()["mail"]));
        assert_eq!(
            stand.broker.depth("mail").map(|depth| (depth.ready, depth.unacked)),
            Some((0, 4))
        );

        // And once they have ended as well, a single job is tried, and all goes on
        watch.let_go(4);
        stand.wait_for("mail", |depth| depth.unacked == 0).await;
        wait_for_state(&running, "probing", is_probing).await;
        stand.enqueue([50]).await;
        wait_for_state(&running, "going on", |state| *state == QueueState::Consuming).await;
        stand.wait_for_empty("mail").await;
        for number in 101..105 {
            assert_eq!(watch.ended().await, number);
        }
        assert_eq!(running.stop_mail().await.dead_lettered, 10 + u64::from(fails));
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_that_say_something_of_themselves_only_do_not_trip_it() {
    // Given jobs of which nine in ten snooze once, are rejected or are cancelled
    let stand = Stand::new();
    stand.enqueue(0..200).await;
    let picky = async |note: Note, context: Context| -> Result<Outcome, BoxError> {
        match note.number % 10 {
            0 => Err("boom".into()),
            1..4 => Err(JobError::reject("no such user").into()),
            4..7 if context.header("leveret-hop").is_none() => Ok(Outcome::Snooze(Duration::from_secs(1))),
            7.. => Ok(Outcome::Cancel("sold out".to_owned())),
            _ => Ok(Outcome::Done),
        }
    };
    let builder = stand.worker().register(picky).kill_switch(&MAIL, switch());
    let running = Running::start(builder).await;
    let mut paused = false;
    let watching = async {
        loop {
            let state = running.handle.state();
            paused |= state["mail"] != QueueState::Consuming;
            running.handle.changed(&state).await;
        }
    };

    // When they are worked off
    tokio::select! {
        () = watching => {}
        () = tokio::time::sleep(Duration::from_secs(3_600)) => {}
    }

    // Then the queue was never left alone
    stand.wait_for_empty("mail").await;
    assert!(!paused);
    let mail = running.stop_mail().await;
    assert_eq!((mail.dead_lettered, mail.cancelled, mail.completed), (20 + 60, 60, 60));
}

#[test]
fn rules_that_make_no_sense_are_found_before_anything_runs() {
    let builder = Worker::builder("memory://kill-switch")
        .state(Dependency::default())
        .register(depends);
    let error = builder.kill_switch(&MAIL, switch().threshold(0)).build().unwrap_err();
    assert!(
        error.to_string().contains("the kill switch of the queue `mail`"),
        "{error}"
    );
}
