//! Jobs that may have crashed their workers: put aside before a third start, run alone, and at last a dead letter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPoint, MemoryBroker, Moment};
use leveret::{Job, Queue, TopologyMode};
use leveret_worker::{Context, KillSwitch, QueueState, State, WorkerBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::kit::*;

/// How often each note was started, over all lives of a worker. Number 0 kills the worker that starts it.
#[derive(Clone, Default)]
struct Lives {
    starts: Arc<Mutex<BTreeMap<u64, u32>>>,
    deadly: Arc<Notify>,
}

impl Lives {
    fn starts(&self, number: u64) -> u32 {
        self.starts.lock().unwrap().get(&number).copied().unwrap_or(0)
    }

    fn count(&self, number: u64) {
        *self.starts.lock().unwrap().entry(number).or_default() += 1;
    }

    /// Lives as many lives as it takes, until `queue` and its suspects are empty. A life ends when number 0 is started.
    async fn live(&self, broker: &MemoryBroker, queue: &str, builder: impl Fn(&Stand) -> WorkerBuilder) -> u32 {
        let suspects = format!("{queue}.suspect");
        for life in 1..100 {
            // A process's connections are its own, and end with it.
            let stand = Stand::on(broker.clone(), TopologyMode::Declare);
            let running = Running::start_unready(builder(&stand).state(self.clone()));
            let all_done = async {
                let is_busy = |queue: &str| broker.depth(queue).is_none_or(|depth| depth.ready + depth.unacked > 0);
                while !running.handle.is_ready() || is_busy(queue) || is_busy(&suspects) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::select! {
                biased;
                () = self.deadly.notified() => running.kill().await,
                () = all_done => {
                    drop(running.stop().await);
                    return life;
                }
            }
            stand.rabbit.close().await;
        }
        panic!("it never comes to rest");
    }
}

async fn deadly_at_zero(note: Note, State(lives): State<Lives>) {
    lives.count(note.number);
    if note.number == 0 {
        lives.deadly.notify_one();
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test(start_paused = true)]
async fn one_poison_job_among_two_hundred_takes_none_of_them_along() {
    // Given a job that kills whoever starts it, in the midst of 200 good ones
    let broker = MemoryBroker::new();
    let stand = Stand::on(broker.clone(), TopologyMode::Declare);
    stand.enqueue((1..=100).chain([0]).chain(101..=200)).await;
    let lives = Lives::default();

    // When workers are started, and killed by it, until nothing is left to do
    let count = lives
        .live(&broker, "mail", |stand| stand.worker().register(deadly_at_zero))
        .await;

    // Then it was started twice beside others and three times alone, and is dead; every other one is done
    assert_eq!((lives.starts(0), count), (5, 6));
    for number in 1..=200 {
        assert!(
            (1..=3).contains(&lives.starts(number)),
            "{number}: {}",
            lives.starts(number)
        );
    }
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(&*dead.body, br#"{"number":0}"#);
    assert_eq!(text(&dead, "leveret-failure-reason"), "poison");
    assert_eq!(
        (int(&dead, "leveret-suspect"), int(&dead, "leveret-attempt")),
        (Some(3), Some(1))
    );
    assert!(!dead.properties.headers.contains_key("leveret-suspect-armed"));
}

#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = Queue::new("plain").classic(), timeout = "30s")]
struct Plain {
    number: u64,
}

#[tokio::test(start_paused = true)]
async fn a_classic_queue_counts_no_deliveries_and_its_poison_ends_all_the_same() {
    let broker = MemoryBroker::new();
    let stand = Stand::on(broker.clone(), TopologyMode::Declare);
    for number in 0..30 {
        stand.producer.enqueue(Plain { number }).await.unwrap();
    }
    let lives = Lives::default();
    let run = async |job: Plain, lives: State<Lives>| deadly_at_zero(Note { number: job.number }, lives).await;

    lives.live(&broker, "plain", |stand| stand.worker().register(run)).await;

    assert_eq!(lives.starts(0), 5);
    for number in 1..30 {
        assert!(
            (1..=3).contains(&lives.starts(number)),
            "{number}: {}",
            lives.starts(number)
        );
    }
    let dead = broker.messages("plain.dead");
    assert_eq!(dead.len(), 1);
    assert_eq!(text(&dead[0], "leveret-failure-reason"), "poison");
}

#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = "letters", timeout = "30s")]
struct Letter {
    number: u64,
}

async fn hold(note: Note, State(probe): State<Probe>, context: Context) {
    probe.hold(note.number, &context).await;
}

async fn hold_letter(letter: Letter, State(probe): State<Probe>, context: Context) {
    probe.hold(letter.number, &context).await;
}

/// A broker with a suspect, made by two workers that die: note 7.
async fn with_a_suspect() -> Stand {
    let broker = MemoryBroker::new();
    for life in 0..3 {
        let stand = Stand::on(broker.clone(), TopologyMode::Declare);
        let (probe, mut watch) = probe();
        if life == 0 {
            stand.enqueue([7]).await;
        }
        if life < 2 {
            let running = Running::start(stand.worker().state(probe).register(hold)).await;
            assert_eq!(watch.started().await, (7, 1));
            running.kill().await;
            stand.rabbit.close().await;
        }
    }
    Stand::on(broker, TopologyMode::Declare)
}

#[tokio::test(start_paused = true)]
async fn a_suspect_is_started_only_when_its_worker_holds_nothing_else() {
    // Given a worker that is busy with two letters, and a third that waits for a slot
    let stand = with_a_suspect().await;
    let (probe, mut watch) = probe();
    for number in [1, 2, 3] {
        stand.producer.enqueue(Letter { number }).await.unwrap();
    }
    let builder = stand.worker().state(probe).register(hold_letter).register(hold);
    let letters = Queue::new("letters");
    let running = Running::start_unready(builder.concurrency(&letters, 2).prefetch(&letters, 3));
    assert_eq!((watch.started().await.0, watch.started().await.0), (1, 2));
    settled_down().await;

    // Then the suspect waits, and nothing else is fetched
    stand.producer.enqueue(Letter { number: 4 }).await.unwrap();
    settled_down().await;
    assert!(watch.nothing_started());
    assert!(matches!(running.handle.state()["letters"], QueueState::Paused { .. }));
    assert!(!running.handle.is_ready());

    // When the letters are done, those in hand before the suspect
    watch.let_go(2);
    assert_eq!(
        watch.started().await.0,
        3,
        "what was in hand is finished, not given back"
    );
    settled_down().await;
    assert!(watch.nothing_started());
    watch.let_go(1);

    // Then it runs, alone
    assert_eq!(watch.started().await, (7, 1));
    settled_down().await;
    assert!(watch.nothing_started());

    // And when it is done, all goes on
    watch.let_go(1);
    assert_eq!(watch.started().await.0, 4);
    watch.let_go(1);
    stand.wait_for_empty("letters").await;
    stand.wait_for_empty("mail.suspect").await;
    assert!(running.handle.ready().await);
    let report = running.stop().await;
    let mail = report.queue("mail").unwrap();
    assert_eq!((mail.completed, mail.suspected, mail.returned), (1, 1, 0));
    assert_eq!(report.queue("letters").unwrap().returned, 0);
    assert!(stand.broker.messages("mail.dead").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_suspect_that_fails_in_the_usual_way_goes_back_to_the_usual_way() {
    let stand = with_a_suspect().await;
    let (probe, mut watch) = probe();
    let fails_once = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        match (context.attempt(), context.header("leveret-suspect").is_some()) {
            (1, true) => Err("the mail server is away"),
            (2, false) => Ok(()),
            other => panic!("{other:?}"),
        }
    };

    let running = Running::start_unready(stand.worker().state(probe).register(fails_once));

    assert_eq!((watch.started().await, watch.started().await), ((7, 1), (7, 2)));
    stand.wait_for_empty("mail").await;
    let mail = running.stop_mail().await;
    assert_eq!(
        (mail.completed, mail.failed, mail.retried, mail.dead_lettered),
        (1, 1, 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_suspect_that_is_interrupted_by_shutdowns_is_never_called_poison() {
    // Given a suspect whose handler gives up at each shutdown
    let stand = with_a_suspect().await;
    let polite = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        Err(format!("{:?}", context.cancelled().await))
    };

    // When its workers are shut down ten times
    for _ in 0..10 {
        let (probe, mut watch) = probe();
        let running = Running::start_unready(stand.worker().state(probe).register(polite));
        assert_eq!(watch.started().await, (7, 1));
        assert_eq!(running.stop_mail().await.interrupted, 1);
    }

    // Then no start counts
    let suspects = stand.broker.messages("mail.suspect");
    assert_eq!(suspects.len(), 1);
    assert_eq!(int(&suspects[0], "leveret-suspect"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_suspect_whose_handler_outlives_every_shutdown_is_never_called_poison() {
    let stand = with_a_suspect().await;
    for _ in 0..10 {
        let (probe, mut watch) = probe();
        let running = Running::start_unready(stand.worker().state(probe).register(hold));
        assert_eq!(watch.started().await, (7, 1));
        let report = running.stop_mail().await;
        assert_eq!((report.interrupted, report.left_unacked), (1, 1));
    }
    let suspects = stand.broker.messages("mail.suspect");
    assert_eq!((suspects.len(), int(&suspects[0], "leveret-suspect")), (1, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_outlives_every_shutdown_is_no_suspect() {
    let stand = Stand::new();
    stand.enqueue([7]).await;
    for _ in 0..10 {
        let (probe, mut watch) = probe();
        let running = Running::start(stand.worker().state(probe).register(hold)).await;
        assert_eq!(watch.started().await, (7, 1));
        let report = running.stop_mail().await;
        assert_eq!((report.interrupted, report.left_unacked, report.suspected), (1, 1, 0));
    }
    assert_eq!(stand.broker.messages("mail").len(), 1);
    assert!(stand.broker.messages("mail.suspect").is_empty());
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_of_a_classic_queue_that_counts_no_deliveries() {
    let stand = Stand::new();
    stand.producer.enqueue(Plain { number: 7 }).await.unwrap();
    let hold = async |job: Plain, probe: State<Probe>, context: Context| {
        hold(Note { number: job.number }, probe, context).await
    };
    for _ in 0..10 {
        let (probe, mut watch) = probe();
        let running = Running::start(stand.worker().state(probe).register(hold)).await;
        assert_eq!(watch.started().await, (7, 1));
        let report = running.stop().await.queue("plain").expect("it consumed it");
        assert_eq!((report.interrupted, report.suspected), (1, 0));
    }
    assert_eq!(stand.broker.messages("plain").len(), 1);
    assert!(stand.broker.messages("plain.suspect").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_loses_with_its_connections_makes_no_suspects() {
    // Given a worker with one job that runs and nine that wait for its slot
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let builder = stand.worker().concurrency(&MAIL, 1).prefetch(&MAIL, 10);
    let running = Running::start(builder.state(probe).register(hold)).await;
    stand.enqueue(0..10).await;
    assert_eq!(watch.started().await, (0, 1));

    // When it loses its connection ten times
    for _ in 0..10 {
        stand.wait_for("mail", |depth| depth.unacked == 10).await;
        stand.cut_consuming(&running).await;
    }

    // Then each job runs once, where it was
    watch.let_go(10);
    stand.wait_for_empty("mail").await;
    let mail = running.stop_mail().await;
    assert_eq!((mail.completed, mail.suspected), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_suspect_that_loses_its_connection_while_it_runs_is_joined_and_not_started_again() {
    let stand = with_a_suspect().await;
    let (probe, mut watch) = probe();
    let running = Running::start_unready(stand.worker().state(probe).register(hold));
    assert_eq!(watch.started().await, (7, 1));

    for _ in 0..5 {
        stand.cut_consuming_of("mail.suspect", &running).await;
    }

    watch.let_go(1);
    stand.wait_for_empty("mail.suspect").await;
    assert!(watch.nothing_started());
    let mail = running.stop_mail().await;
    assert_eq!((mail.completed, mail.dead_lettered), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn of_two_workers_one_runs_the_suspects_and_the_other_takes_over_when_it_dies() {
    // Given two workers, each a process, and a suspect that one of them runs
    let stand = with_a_suspect().await;
    let other = Stand::on(stand.broker.clone(), TopologyMode::Declare);
    let ((probe_of_first, mut first), (probe_of_second, mut second)) = (probe(), probe());
    let dying = Running::start_unready(stand.worker().state(probe_of_first).register(hold));
    assert_eq!(first.started().await, (7, 1));
    let lasting = Running::start(other.worker().state(probe_of_second).register(hold)).await;
    other.enqueue([8]).await;
    assert_eq!(
        second.started().await,
        (8, 1),
        "only one worker is kept for the suspect"
    );
    assert!(second.nothing_started());

    // When the first dies
    dying.kill().await;
    stand.rabbit.close().await;
    settled_down().await;
    assert!(second.nothing_started(), "it is busy");
    second.let_go(1);

    // Then the other starts it, once it holds nothing else
    assert_eq!(second.started().await, (7, 1));
    second.let_go(1);
    other.wait_for_empty("mail.suspect").await;
    let mail = lasting.stop_mail().await;
    assert_eq!((mail.completed, mail.dead_lettered), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn without_its_queue_a_suspect_is_run_as_it_came() {
    // Given a suspect to be, and no queue to put it aside in
    let stand = Stand::new();
    let mut message = leveret::Envelope::new(Note { number: 7 })
        .unwrap()
        .to_message(&leveret::envelope::Limits::default())
        .unwrap();
    message.properties.message_id = Some("seven".into());
    let (probe, mut watch) = probe();
    for _ in 0..2 {
        let dying = Stand::on(stand.broker.clone(), TopologyMode::Declare);
        let (probe, mut watch) = crate::kit::probe();
        let running = Running::start(dying.worker().state(probe).register(hold)).await;
        if stand
            .broker
            .depth("mail")
            .is_some_and(|depth| depth.ready + depth.unacked == 0)
        {
            let mail = leveret::broker::Destination::queue("mail");
            stand.broker.publish_raw(&mail, &message).unwrap();
        }
        assert_eq!(watch.started().await, (7, 1));
        running.kill().await;
        dying.rabbit.close().await;
    }
    let foreign = Stand::on(stand.broker.clone(), TopologyMode::None);
    stand.broker.delete_queue("mail.suspect");

    let running = Running::start_unready(foreign.worker().state(probe).register(hold));

    assert_eq!(watch.started().await, (7, 1));
    watch.let_go(1);
    stand.wait_for_empty("mail").await;
    drop(running.stop().await);
}

/// Puts note 7 among the suspects, as one that was never started alone.
fn put_aside(stand: &Stand) {
    let envelope = leveret::Envelope::new(Note { number: 7 }).unwrap();
    let mut message = envelope.to_message(&leveret::envelope::Limits::default()).unwrap();
    let headers = &mut message.properties.headers;
    headers.insert("leveret-suspect".to_owned(), 0u32.into());
    let suspects = leveret::broker::Destination::queue("mail.suspect");
    stand.broker.publish_raw(&suspects, &message).unwrap();
}

/// Trips after two failures, for hours.
fn for_hours() -> KillSwitch {
    let rules = KillSwitch::new().minimum(2).threshold(100);
    rules
        .window(Duration::from_secs(3_600))
        .pause(Duration::from_secs(6 * 3_600))
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_its_kill_switch_has_stopped_keeps_no_suspect_waiting() {
    // Given a queue whose jobs have all failed and are settled, stopped for six hours
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fails = async |_: Letter| Err::<(), _>("the mail server is away");
    let letters = Queue::new("letters").dead_letter(leveret::DeadLetter::Nack);
    let builder = stand.worker().state(probe).register(fails).register(hold);
    let builder = builder
        .route::<Letter>(letters.clone())
        .kill_switch(&letters, for_hours());
    let running = Running::start(builder).await;
    for number in [1, 2] {
        let job = stand.producer.enqueue(Letter { number }).queue(&letters);
        job.max_attempts(1).await.unwrap();
    }
    while !matches!(running.handle.state()["letters"], QueueState::Paused { .. }) {
        running.handle.changed(&running.handle.state()).await;
    }
    settled_down().await;

    // When there is a suspect, then it is run
    put_aside(&stand);
    assert_eq!(watch.started().await, (7, 1));
    watch.let_go(1);
    stand.wait_for_empty("mail.suspect").await;
    drop(running.stop().await);
}

#[tokio::test(start_paused = true)]
async fn jobs_in_line_on_a_queue_that_trips_while_a_suspect_waits_go_back() {
    // Given two jobs that run and two in line behind them, and a suspect that waits for all four
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fails = async |letter: Letter, State(probe): State<Probe>, context: Context| {
        probe.hold(letter.number, &context).await;
        Err::<(), _>("the mail server is away")
    };
    let letters = Queue::new("letters");
    let builder = stand.worker().state(probe).register(fails).register(hold);
    let builder = builder.concurrency(&letters, 2).prefetch(&letters, 4);
    let running = Running::start(builder.kill_switch(&letters, for_hours())).await;
    for number in 1..=4 {
        let job = stand.producer.enqueue(Letter { number });
        job.max_attempts(1).await.unwrap();
    }
    assert_eq!((watch.started().await.0, watch.started().await.0), (1, 2));
    put_aside(&stand);
    settled_down().await;
    assert!(matches!(running.handle.state()["letters"], QueueState::Paused { .. }));

    // When the two that run fail and trip the kill switch, then the two in line go back, and the suspect is run
    watch.let_go(2);
    settled_down().await;
    assert_eq!(stand.broker.depth("letters").map(|depth| depth.unacked), Some(0));
    assert_eq!(watch.started().await, (7, 1));
    watch.let_go(1);
    stand.wait_for_empty("mail.suspect").await;
    assert_eq!(running.stop().await.queue("letters").unwrap().returned, 2);
}

#[tokio::test(start_paused = true)]
async fn a_suspect_is_started_by_the_first_copy_that_counts_it_however_slow_the_broker_is() {
    // Given a broker that takes seconds to deliver the copy that counts a suspect's start: the channel dies over the ack of the
    // original, and the next consumer has to be asked for again and again
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    let (mut acked, mut refusals) = (false, 6);
    let copies = Arc::new(Mutex::new(0));
    let published = Arc::clone(&copies);
    stand.broker.set_faults(move |point| match point {
        FaultPoint::Publish => {
            *published.lock().unwrap() += 1;
            Fault::None
        }
        FaultPoint::Settle => {
            acked = true;
            Fault::None
        }
        FaultPoint::Flush if acked && refusals == 6 => {
            refusals -= 1;
            Fault::KillChannel(Moment::After)
        }
        FaultPoint::Consume if refusals < 6 && refusals > 0 => {
            refusals -= 1;
            Fault::FailRpc(Moment::Before)
        }
        _ => Fault::None,
    });

    // When there is a suspect
    put_aside(&stand);

    // Then it is started without being disarmed and counted anew
    assert_eq!(watch.started().await, (7, 1));
    assert_eq!(*copies.lock().unwrap(), 1);
    watch.let_go(1);
    stand.wait_for_empty("mail.suspect").await;
    drop(running.stop().await);
}
