//! The wire format, byte by byte. It is open to every language: a change here is a change for programs that nobody here has seen.
//!
//! `delivery_mode` is no property of a `Message`: everything that is published is persistent (2).
#![allow(clippy::expect_used, reason = "tests; clippy knows only functions marked as such")]

use std::time::{Duration, UNIX_EPOCH};

use leveret::envelope::{Failure, Incoming, Limits, Republish, headers, republish};
use leveret::{Envelope, HeaderValue, Job, JobId, Message, Queue};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = "mail", max_attempts = 8, timeout = "30s")]
struct SendWelcome {
    user_id: u64,
    greeting: Option<String>,
    channel: Channel,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Channel {
    Mail,
    Sms { number: String },
}

fn job() -> SendWelcome {
    SendWelcome {
        user_id: 7,
        greeting: None,
        channel: Channel::Sms {
            number: "+49 \"1\"".to_owned(),
        },
    }
}

const BODY: &str = r#"{"user_id":7,"greeting":null,"channel":{"Sms":{"number":"+49 \"1\""}}}"#;

/// All properties of a message, one a line; the time is shown as such.
fn shown(message: &Message) -> Vec<String> {
    let p = &message.properties;
    let texts = [
        ("message_id", &p.message_id),
        ("type", &p.kind),
        ("content_type", &p.content_type),
        ("content_encoding", &p.content_encoding),
        ("correlation_id", &p.correlation_id),
        ("reply_to", &p.reply_to),
        ("app_id", &p.app_id),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| text.as_ref().map(|text| format!("{name} = {text}")));
    let timestamp = p.timestamp.map(|_| "timestamp".to_owned());
    let priority = p.priority.map(|priority| format!("priority = {priority}"));
    let headers = p.headers.iter().map(|(name, value)| format!("{name}: {value:?}"));
    texts.chain(timestamp).chain(priority).chain(headers).collect()
}

fn message_of(envelope: &Envelope) -> Message {
    envelope.to_message(&Limits::default()).expect("a small job")
}

fn failure() -> Failure {
    Failure {
        reason: "failed",
        error: "the mail server is away".to_owned(),
        queue: "mail".to_owned(),
        worker: "mailer-1".to_owned(),
        at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
    }
}

/// A JSON text in a header: any number of failed attempts, oldest first.
const HISTORY: &str = r#"leveret-history: Text("[{\"attempt\":1,\"reason\":\"failed\",\"error\":\"the mail server is away\",\"worker\":\"mailer-1\",\"at\":1700000000123}]")"#;

#[test]
fn a_job_becomes_this_message() {
    let id = JobId::new("welcome-7").expect("valid");
    let message = message_of(&Envelope::new(job()).expect("plain data").with_id(id));

    assert_eq!(message.body, BODY);
    assert_eq!(
        shown(&message),
        [
            "message_id = welcome-7",
            "type = send_welcome",
            "content_type = application/json",
            "app_id = leveret",
            "timestamp",
        ],
        "what a job is at its beginning goes without saying"
    );
}

#[test]
fn a_job_that_waits_elsewhere_says_where_it_belongs() {
    let due = UNIX_EPOCH + Duration::from_millis(1_800_000_000_456);
    let message = message_of(&Envelope::new(job()).expect("plain data").with_due(due));

    let headers = ["leveret-due: Int(1800000000456)", "leveret-origin: Text(\"mail\")"];
    assert!(shown(&message).ends_with(&headers.map(str::to_owned)));
}

#[test]
fn a_job_without_headers_is_at_its_beginning() {
    let enqueued = message_of(&Envelope::new(job()).expect("plain data"));
    let mut foreign = enqueued.clone();
    foreign.properties.app_id = None;
    let mut before = enqueued.clone();
    before.properties.headers.insert(headers::ATTEMPT.to_owned(), 1.into());
    before.properties.headers.insert(headers::HOP.to_owned(), 0.into());

    let read = |message| {
        let read = Incoming::read(message).expect("a job");
        (read.attempt, read.hop)
    };
    assert_eq!(read(&enqueued), (1, Some(0)));
    assert_eq!(read(&before), (1, Some(0)), "as earlier versions say it");
    assert_eq!(read(&foreign), (1, None));
}

#[test]
fn what_is_set_for_one_job_travels_beside_it() {
    let envelope = Envelope::new(job())
        .expect("plain data")
        .with_id(JobId::new("welcome-7").expect("valid"))
        .with_queue(Queue::named("mail-eu").expect("valid"))
        .with_max_attempts(3)
        .with_timeout(Duration::from_millis(1_500))
        .with_expiry(UNIX_EPOCH + Duration::from_millis(1_800_000_000_456))
        .with_correlation_id("signup-7")
        .and_then(|envelope| envelope.with_header("tenant", "eu"))
        .expect("valid");

    assert_eq!(
        shown(&message_of(&envelope)),
        [
            "message_id = welcome-7",
            "type = send_welcome",
            "content_type = application/json",
            "correlation_id = signup-7",
            "app_id = leveret",
            "timestamp",
            "leveret-expires: Int(1800000000456)",
            "leveret-max-attempts: Int(3)",
            "leveret-timeout-ms: Int(1500)",
            "tenant: Text(\"eu\")",
        ]
    );
}

#[test]
fn a_retry_is_the_same_message_one_attempt_and_one_hop_on() {
    let id = JobId::new("welcome-7").expect("valid");
    let original = message_of(&Envelope::new(job()).expect("plain data").with_id(id.clone()));

    let successor = republish(&original, &id, 1, &Republish::Retry { failure: failure() });

    assert_eq!(successor.body, BODY);
    assert_eq!(successor.properties.timestamp, original.properties.timestamp);
    assert_eq!(
        shown(&successor),
        [
            "message_id = welcome-7",
            "type = send_welcome",
            "content_type = application/json",
            "app_id = leveret",
            "timestamp",
            "leveret-attempt: Int(2)",
            "leveret-failure-at-ms: Int(1700000000123)",
            "leveret-failure-error: Text(\"the mail server is away\")",
            "leveret-failure-queue: Text(\"mail\")",
            "leveret-failure-reason: Text(\"failed\")",
            "leveret-failure-worker: Text(\"mailer-1\")",
            HISTORY,
            "leveret-hop: Int(1)",
        ]
    );
}

#[test]
fn a_dead_letter_of_a_foreign_message_keeps_it_as_it_came() {
    let mut original = Message {
        body: b"\xff not JSON".as_slice().into(),
        ..Message::default()
    };
    let properties = &mut original.properties;
    properties.kind = Some("foreign".into());
    properties.content_encoding = Some("gzip".into());
    properties.reply_to = Some("answers".into());
    properties.priority = Some(9);
    properties
        .headers
        .insert("x-delivery-count".to_owned(), HeaderValue::Int(2));
    properties.headers.insert("tenant".to_owned(), "eu".into());

    let why = Republish::DeadLetter { failure: failure() };
    let successor = republish(&original, &JobId::new("made-up").expect("valid"), 1, &why);

    assert_eq!(successor.body, original.body);
    assert_eq!(
        shown(&successor),
        [
            "message_id = made-up",
            "type = foreign",
            "content_encoding = gzip",
            "reply_to = answers",
            "priority = 9",
            "leveret-attempt: Int(1)",
            "leveret-failure-at-ms: Int(1700000000123)",
            "leveret-failure-error: Text(\"the mail server is away\")",
            "leveret-failure-queue: Text(\"mail\")",
            "leveret-failure-reason: Text(\"failed\")",
            "leveret-failure-worker: Text(\"mailer-1\")",
            HISTORY,
            "leveret-hop: Int(1)",
            "tenant: Text(\"eu\")",
        ]
    );
}

#[test]
fn a_body_and_a_type_make_a_job() {
    let mut message = Message {
        body: BODY.as_bytes().into(),
        ..Message::default()
    };
    message.properties.kind = Some("send_welcome".into());

    let incoming = Incoming::read(&message).expect("nothing of ours is in it");

    assert_eq!(incoming.name.as_deref(), Some(SendWelcome::NAME));
    assert_eq!((incoming.attempt, incoming.hop, incoming.resent), (1, None, false));
    assert_eq!((incoming.max_attempts, incoming.timeout), (None, None));
    assert!(!incoming.id.is_stable());
    assert_eq!(Incoming::job::<SendWelcome>(&message.body).expect("its JSON"), job());
}

/// What an outbox table may hold from an earlier version.
const STORED: &str = r#"{"id":"welcome-7","name":"send_welcome","queue":{"name":"mail","kind":"Quorum","delivery_limit":100,"max_length":null,"dead_letter":"Annotated"},"body":"{\"user_id\":7,\"greeting\":null,\"channel\":{\"Sms\":{\"number\":\"+49 \\\"1\\\"\"}}}","correlation_id":"signup-7","max_attempts":3,"timeout":{"secs":1,"nanos":500000000},"headers":{"tenant":{"Text":"eu"}},"made_at":1700000000}"#;

#[test]
fn a_stored_envelope_is_read_and_written_in_this_form() {
    let envelope: Envelope = serde_json::from_str(STORED).expect("the stored form");

    assert_eq!(serde_json::to_string(&envelope).expect("plain data"), STORED);
    let message = message_of(&envelope);
    assert_eq!(message.body, BODY);
    assert_eq!(message.properties.timestamp, Some(1_700_000_000));
}

#[test]
fn a_stored_envelope_that_no_setter_would_have_made_is_refused() {
    for (from, to) in [
        (r#""name":"send_welcome""#, r#""name":"""#.to_owned()),
        ("signup-7", r"two\nlines".to_owned()),
        ("tenant", "x-death".to_owned()),
        ("tenant", "leveret-hop".to_owned()),
        (
            r#"{"Text":"eu"}"#,
            format!(r#"{{"Table":{{"{}":"Null"}}}}"#, "n".repeat(256)),
        ),
    ] {
        let tampered = STORED.replace(from, &to);
        assert_ne!(tampered, STORED, "{from}");
        let envelope: Envelope = serde_json::from_str(&tampered).expect("still of the form");
        assert!(envelope.to_message(&Limits::default()).is_err(), "{to}");
    }
}
