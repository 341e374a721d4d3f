//! What cannot be run, and the ways in which dead letters are made.

use leveret::broker::Destination;
use leveret::{DeadLetter, HeaderValue, Job, Queue, TopologyMode};
use leveret_worker::{Context, JobError, State};
use serde::{Deserialize, Serialize};

use crate::kit::*;

const NACKED: Queue = Queue::new("nacked").dead_letter(DeadLetter::Nack);
const CLASSIC: Queue = Queue::new("classic").classic();

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = NACKED, max_attempts = 1)]
struct Nacked {}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = CLASSIC, max_attempts = 1)]
struct Classic {}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_run_becomes_a_dead_letter_with_its_bytes_intact() {
    let cases: [(Option<&str>, &[u8], &str, &str); 4] = [
        (Some("note"), b"\xff\x00 no JSON", "undecodable", "not JSON"),
        (Some("note"), br#"{"number": "seven"}"#, "undecodable", "does not fit"),
        (Some("stranger"), br#"{"a": 1}"#, "unknown_type", "`stranger`"),
        (None, b"", "unknown_type", "no `type`"),
    ];
    for (kind, body, reason, error) in cases {
        // Given a worker that knows notes
        let stand = Stand::new();
        let running = Running::start(stand.worker().register(async |_: Note| {})).await;

        // When something else arrives
        stand.foreign(kind, body);

        // Then it is kept as it came, with the reason
        let dead = stand.dead_letters(1).await.remove(0);
        assert_eq!(&dead.body[..], body);
        assert_eq!(dead.properties.kind.as_deref(), kind);
        assert_eq!(text(&dead, "leveret-failure-reason"), reason);
        assert!(text(&dead, "leveret-failure-error").contains(error), "{dead:?}");
        stand.wait_for_empty("mail").await;
        assert_eq!(running.stop_mail().await.retried, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_cannot_be_read_makes_a_dead_letter_that_keeps_its_id() {
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(async |_: Note| {})).await;
    let mut message = foreign(Some("note"), br#"{"number": 7}"#);
    message.properties.message_id = Some("mine".into());
    message
        .properties
        .headers
        .insert("leveret-attempt".to_owned(), "first".into());

    stand
        .broker
        .publish_raw(&Destination::queue("mail"), &message)
        .expect("stored");

    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(dead.properties.message_id.as_deref(), Some("mine"));
    assert_eq!(text(&dead, "leveret-failure-reason"), "undecodable");
    assert!(text(&dead, "leveret-failure-error").contains("leveret-attempt"));
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn in_nack_mode_the_broker_makes_the_dead_letter() {
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(async |_: Nacked| Err::<(), _>("no"))).await;

    stand.producer.enqueue(Nacked {}).await.expect("stored");

    stand.wait_for("nacked.dead", |depth| depth.ready == 1).await;
    let dead = stand.broker.messages("nacked.dead").remove(0);
    assert!(dead.properties.headers.contains_key("x-death"), "{dead:?}");
    assert_eq!(text(&dead, "leveret-failure-reason"), "");
    let report = running.stop().await.queue("nacked").expect("consumed");
    assert_eq!((report.failed, report.dead_lettered), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_quorum_queue_dead_letters_itself_when_the_copy_cannot_be_stored() {
    // Given a broker that refuses every copy
    let stand = Stand::new();
    let reject = async |_: Note| Err::<(), _>(JobError::reject("no"));
    let running = Running::start(stand.worker().register(reject)).await;
    stand.nack_publishes();
    stand.store(Note { number: 7 });
    stand.wait_for("mail", |depth| depth.unacked == 1).await;

    // When it has been tried often enough

    // Then the broker has moved the job itself
    let dead = stand.dead_letters(1).await.remove(0);
    assert!(dead.properties.headers.contains_key("x-death"), "{dead:?}");
    stand.wait_for_empty("mail").await;
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_classic_queue_holds_the_job_until_the_copy_is_stored() {
    // Given a broker that refuses every copy
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(async |_: Classic| Err::<(), _>("no"))).await;
    stand.nack_publishes();
    stand.store(Classic {});

    // When many times the tries of a quorum queue have passed
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;

    // Then the job is still held, and only a stored copy lets go of it
    let depth = stand.broker.depth("classic").expect("declared");
    assert_eq!((depth.ready, depth.unacked), (0, 1));
    stand.broker.heal();
    stand.wait_for("classic.dead", |depth| depth.ready == 1).await;
    let dead = stand.broker.messages("classic.dead").remove(0);
    assert_eq!(text(&dead, "leveret-failure-reason"), "failed");
    stand.wait_for_empty("classic").await;
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_held_as_well_where_nobody_knows_what_stands_behind_its_queue() {
    for mode in [TopologyMode::Minimal, TopologyMode::Verify, TopologyMode::None] {
        // Given a queue, and a worker that has not declared it in full
        let stand = Stand::new();
        stand.rabbit.declare(&Note::QUEUE).await.expect("declared");
        if mode == TopologyMode::Minimal {
            stand.broker.delete_queue("mail");
            stand.broker.delete_queue("mail.dead");
            stand.broker.delete_queue("mail.suspect");
            stand.broker.delete_queue("leveret.lost");
            stand.broker.delete_exchange("leveret.dead");
            stand.broker.delete_exchange("leveret.delay.v1.deliver");
        }
        let stand = Stand::on(stand.broker, mode);
        let running = Running::start(
            stand
                .worker()
                .register(async |_: Note| Err::<(), _>(JobError::reject("no"))),
        )
        .await;
        stand.nack_publishes();

        // When the broker refuses the copy for a long time
        stand.store(Note { number: 7 });
        tokio::time::sleep(std::time::Duration::from_secs(600)).await;

        // Then it is not asked to dead-letter the job by itself
        let depth = stand.broker.depth("mail").expect("declared");
        assert_eq!((depth.ready, depth.unacked), (0, 1), "{mode:?}");
        stand.broker.heal();
        let dead = stand.dead_letters(1).await.remove(0);
        assert_eq!(text(&dead, "leveret-failure-reason"), "rejected");
        drop(running);
    }
}

#[tokio::test(start_paused = true)]
async fn a_classic_queues_dead_letter_goes_without_headers_that_leave_no_room_for_the_failure() {
    // Given a job of Leveret's and a message of another program, whose headers fill the frame
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(async |_: Classic| {})).await;
    let mut message = foreign(Some("stranger"), b"kept");
    for (app_id, origin) in [(Some("leveret"), Some("classic")), (None, None)] {
        message.properties.app_id = app_id.map(Into::into);
        message
            .properties
            .headers
            .insert("large".to_owned(), "x".repeat(130_950).into());

        // When it cannot be run
        let to = leveret::broker::Destination::queue("classic");
        stand.broker.publish_raw(&to, &message).expect("stored");

        // Then the copy has the body, the reason and, of a job, where it belongs, and not those headers: the broker alone is not trusted with it
        stand.wait_for("classic.dead", |depth| depth.ready == 1).await;
        let dead = stand.broker.messages("classic.dead").remove(0);
        assert_eq!(&dead.body[..], b"kept");
        assert_eq!(text(&dead, "leveret-failure-reason"), "unknown_type");
        let written = dead
            .properties
            .headers
            .get("leveret-origin")
            .and_then(HeaderValue::as_text);
        assert_eq!(written, origin);
        assert!(!dead.properties.headers.contains_key("large"));
        stand.wait_for_empty("classic").await;
        assert_eq!(stand.broker.purge("classic.dead"), 1);
    }
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_put_back_by_hand_runs_again_on_the_same_worker() {
    // Given a job that failed for good, on a connection that was lost afterwards, so that the worker doubts every ack
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let flaky = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        match context.header("leveret-failure-reason") {
            None => Err(JobError::reject("not yet")),
            Some(_) => Ok(()),
        }
    };
    let running = Running::start(stand.worker().state(probe).register(flaky)).await;
    stand.enqueue([7]).await;
    let dead = stand.dead_letters(1).await.remove(0);
    assert_eq!(watch.started().await, (7, 1));
    stand.wait_for_empty("mail").await;
    stand.cut_consuming(&running).await;

    // When its dead letter is moved back as it is
    stand
        .broker
        .publish_raw(&Destination::queue("mail"), &dead)
        .expect("stored");

    // Then it runs
    assert_eq!(watch.started().await, (7, 1));
    stand.wait_for_empty("mail").await;
    assert_eq!(running.stop_mail().await.recognized, 0);
}
