//! What is exact in paused time, on the broker in memory.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use leveret::testing::TestBroker;
use leveret::{Envelope, Fate, Queue, Why};
use leveret_worker::{State, Worker};
use tokio::time::Instant;

use crate::kit::Note;

const NOTES: Queue = Queue::new("notes");
/// The unit, and two milliseconds for each level.
const MOST_LATE: Duration = Duration::from_millis(100 + 2 * 29);

type Arrivals = Arc<Mutex<Vec<(u64, Instant)>>>;

async fn write_down(note: Note, State(arrivals): State<Arrivals>) {
    arrivals.lock().unwrap().push((note.number, Instant::now()));
}

/// Runs what is there and what becomes due.
async fn run(broker: &TestBroker) -> Vec<(u64, Instant)> {
    let arrivals = Arrivals::default();
    let builder = Worker::builder(broker.url())
        .state(arrivals.clone())
        .register(write_down);
    let worker = builder.route::<Note>(NOTES).build().unwrap();
    let report = worker.run_until_idle(broker).await.unwrap();
    assert!(report.is_clean());
    Arc::into_inner(arrivals)
        .expect("the worker is gone")
        .into_inner()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_of_five_thousand_jobs_runs_once_and_within_the_unit() {
    // Given jobs with delays from a millisecond to a year
    let broker = TestBroker::new();
    let producer = broker.producer();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut due = Vec::new();
    for number in 0..5_000 {
        let most = 1 << rng.u32(1..35);
        let wait = Duration::from_millis(rng.u64(1..=most));
        let enqueued = producer.enqueue(Note { number }).queue(&NOTES).delay(wait);
        due.push(Instant::now() + wait);
        enqueued.await.unwrap();
    }

    // When
    let arrivals = run(&broker).await;

    // Then each runs once, none early, and none is overtaken by one that is due more than a unit later
    assert_eq!(arrivals.len(), 5_000);
    let mut seen = vec![false; 5_000];
    let mut latest = *due.iter().min().expect("five thousand");
    for (number, at) in arrivals {
        let number = usize::try_from(number).unwrap();
        assert!(!std::mem::replace(&mut seen[number], true), "{number} ran twice");
        assert!(due[number] + MOST_LATE >= latest, "{number} was overtaken");
        latest = latest.max(due[number]);
        let late = at.checked_duration_since(due[number]);
        assert!(late.is_some_and(|late| late <= MOST_LATE), "{number} is {late:?} late");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_that_is_over_is_now_and_one_beyond_a_year_is_refused() {
    let broker = TestBroker::new();
    let producer = broker.producer();
    let note = |number| producer.enqueue(Note { number }).queue(&NOTES);
    let now = SystemTime::now();
    let day = Duration::from_secs(86_400);
    note(0).at(SystemTime::UNIX_EPOCH).await.unwrap();
    note(1).at(now - day).await.unwrap();
    note(2).delay(Duration::ZERO).await.unwrap();
    assert_eq!(broker.depth(&NOTES), 3, "no detour");

    note(3).delay(365 * day).await.unwrap();
    for refused in [note(4).delay(400 * day).await, note(5).delay(Duration::MAX).await] {
        let error = refused.unwrap_err();
        assert!(matches!(error.fate(), Fate::Refused(Why::Unsendable(_))), "{error}");
        assert!(error.to_string().contains("a year is the most"), "{error}");
    }
    assert_eq!(broker.enqueued::<Note>().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_stored_envelope_keeps_the_time_at_which_it_is_due() {
    // Given an envelope for a minute from now, that is stored for forty seconds
    let broker = TestBroker::new();
    let begun = Instant::now();
    let due = broker.rabbit().clock().wall() + Duration::from_secs(60);
    let envelope = Envelope::new(Note { number: 7 })
        .unwrap()
        .with_queue(NOTES)
        .with_due(due);
    let row = serde_json::to_string(&envelope).unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;

    // When it is sent
    let envelope: Envelope = serde_json::from_str(&row).unwrap();
    broker.producer().enqueue_envelope(envelope).await.unwrap();

    // Then it runs a minute after it was made
    let [(7, at)] = run(&broker).await[..] else {
        panic!("one")
    };
    let waited = at - begun;
    assert!(
        waited >= Duration::from_secs(60) && waited <= Duration::from_secs(60) + MOST_LATE,
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_makes_a_job_no_later_than_it_must() {
    for (outage, expected) in [(50, 60), (100, 100)] {
        // Given a job that is to wait a minute, and a broker that is away
        let broker = TestBroker::new();
        let producer = broker.producer();
        producer.enqueue(Note { number: 0 }).queue(&NOTES).await.unwrap();
        broker.go_down();
        let begun = Instant::now();
        let enqueue = producer
            .enqueue(Note { number: 7 })
            .queue(&NOTES)
            .delay(Duration::from_secs(60));
        let pending = enqueue
            .confirm_timeout(Duration::from_secs(300))
            .submit()
            .await
            .unwrap();

        // When it comes back
        tokio::time::sleep(Duration::from_secs(outage)).await;
        broker.heal();
        pending.await.unwrap();

        // Then what is left of the minute is waited for
        let arrivals = run(&broker).await;
        let (_, at) = arrivals.iter().find(|(number, _)| *number == 7).expect("it ran");
        let waited = (*at - begun).as_secs();
        assert!(
            (expected..expected + 2).contains(&waited),
            "{waited} s after an outage of {outage} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_queue_was_deleted_while_it_waited_is_lost_and_found() {
    let broker = TestBroker::new();
    let delayed = broker.producer().enqueue(Note { number: 7 }).queue(&NOTES);
    delayed.delay(Duration::from_secs(5)).await.unwrap();
    let waiting = broker.enqueued::<Note>();
    assert!(waiting[0].due().is_some() && waiting[0].queue() == "notes");
    broker.delete_queue(&NOTES);

    let lost = broker.memory().wait_for_depth("leveret.lost", |depth| depth.ready == 1);
    tokio::time::timeout(Duration::from_secs(6), lost)
        .await
        .expect("it is there when it is due");
}
