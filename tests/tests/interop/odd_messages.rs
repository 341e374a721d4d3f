//! Messages of clients that know nothing of Leveret.

use std::sync::{Arc, Mutex};

use leveret::JobId;
use leveret_tests::signal::Counter;
use leveret_worker::{Context, State};
use serde_json::{Value, json};

use crate::kit::*;

/// One run of a job.
#[derive(Debug, Clone)]
struct Seen {
    address: String,
    id: JobId,
    attempt: u32,
    correlation_id: Option<String>,
}

#[derive(Clone)]
struct Runs {
    seen: Arc<Mutex<Vec<Seen>>>,
    count: Counter,
}

/// Fails whatever it is given, so that each job is retried once and then a dead letter.
async fn fail(job: SendWelcome, State(runs): State<Runs>, context: Context) -> Result<(), &'static str> {
    let seen = Seen {
        address: job.address,
        id: context.id().clone(),
        attempt: context.attempt(),
        correlation_id: context.correlation_id().map(str::to_owned),
    };
    runs.seen.lock().expect("no panic").push(seen);
    runs.count.add();
    Err("not today")
}

/// What became of an odd message.
struct End {
    /// The message as it was published.
    original: Value,
    /// What a handler saw of it.
    runs: Vec<Seen>,
    /// Its dead letter.
    dead: Value,
}

/// Publishes the message once to see it, and once for a worker whose handler fails.
async fn end_of(case: &str) -> End {
    end_as_seen_by("kombu", case).await
}

/// [`end_of`], as one of the two clients sees it.
async fn end_as_seen_by(client: &str, case: &str) -> End {
    let bench = Bench::new("odd").await;
    bench.publish_odd(case).await;
    let original = bench.look_with(client, bench.queue.name(), 1, "job").await.remove(0);
    let runs = Runs {
        seen: Arc::default(),
        count: Counter::new("runs"),
    };
    let running = Running::start(bench.worker().state(runs.clone()).register(fail)).await;
    bench.publish_odd(case).await;
    let dead = bench.look_with(client, &bench.dead(), 1, "dead_letter").await.remove(0);
    let report = running.stop().await;
    assert_eq!(
        report.queue(bench.queue.name()).map(|queue| queue.dead_lettered),
        Some(1)
    );
    bench.wait_until_empty().await;
    assert_eq!(bench.dead_letter_count().await, 0, "one message, one dead letter");
    let runs = runs.seen.lock().expect("no panic").clone();
    End { original, runs, dead }
}

/// The headers that are not Leveret's.
fn foreign(message: &Value) -> Value {
    let headers = message["headers"].as_object().cloned().unwrap_or_default();
    let foreign = headers.into_iter().filter(|(name, _)| !name.starts_with("leveret-"));
    Value::Object(foreign.collect())
}

fn addresses_and_attempts(runs: &[Seen]) -> Vec<(&str, u32)> {
    runs.iter().map(|run| (run.address.as_str(), run.attempt)).collect()
}

#[tokio::test]
async fn a_body_and_a_type_are_a_job_whose_id_is_fixed_by_its_first_retry() {
    let End { original, runs, dead } = end_of("bare").await;

    assert_eq!(
        original,
        json!({"properties": {"type": "send_welcome", "delivery_mode": 2}, "body": {"address": "bare"}})
    );
    assert_eq!(addresses_and_attempts(&runs), [("bare", 1), ("bare", 2)]);
    assert!(!runs[0].id.is_stable() && runs[1].id.is_stable());
    assert_eq!(runs[0].id, runs[1].id);
    assert_eq!(dead["properties"]["message_id"], runs[0].id.as_str());
    assert_eq!(dead["properties"]["content_type"], Value::Null, "nothing is made up");
}

#[tokio::test]
async fn text_is_the_same_text_in_every_spelling_of_it() {
    for case in ["umlauts", "escaped", "kombu", "kombu-text"] {
        let End { original, runs, dead } = end_of(case).await;

        assert_eq!(addresses_and_attempts(&runs), [(UMLAUTS, 1), (UMLAUTS, 2)], "{case}");
        assert_eq!(dead["body"], original["body"], "{case}");
        for property in ["content_type", "content_encoding"] {
            assert_eq!(
                dead["properties"][property], original["properties"][property],
                "{case}: {property}"
            );
        }
    }
}

#[tokio::test]
async fn what_kombu_sets_is_kept() {
    let End { original, runs, dead } = end_of("kombu").await;

    assert_eq!(original["properties"]["content_encoding"], "utf-8");
    assert_eq!(foreign(&original)["tenant"], "eu");
    assert_eq!(foreign(&dead), foreign(&original));
    assert_eq!(runs[0].id.as_str(), "k-1");
    assert_eq!(runs[1].correlation_id.as_deref(), Some("c-1"));
    assert_eq!(dead["properties"], original["properties"]);
}

#[tokio::test]
async fn the_headers_of_others_are_kept_whatever_is_in_them() {
    let End {
        original, runs, dead, ..
    } = end_of("headers").await;

    assert_eq!(addresses_and_attempts(&runs), [("headers", 1), ("headers", 2)]);
    let (mut before, mut after) = (foreign(&original), foreign(&dead));
    assert_eq!(before["list"], json!([1, "two", {"three": [3]}]));
    assert!(before["traceparent"].is_string() && before["umlauts"] == UMLAUTS);
    // The one kind of value that comes back as another: AMQP's decimal as a double.
    assert_eq!(before["price"].take(), json!({"other": "9.99"}));
    assert_eq!(after["price"].take(), json!(9.99));
    assert_eq!(after, before);
    assert_eq!(dead["properties"], original["properties"]);
}

#[tokio::test]
async fn what_is_no_json_is_a_dead_letter_at_once_with_its_bytes_intact() {
    for case in ["compressed", "pickled"] {
        // kombu would decompress what it reads.
        let End { original, runs, dead } = end_as_seen_by("pika", case).await;

        assert!(runs.is_empty(), "{case} ran");
        assert!(original["body"]["base64"].is_string(), "{case} is JSON");
        assert_eq!(dead["body"], original["body"], "{case}");
        assert_eq!(dead["headers"]["leveret-failure-reason"], "undecodable", "{case}");
        assert_eq!(foreign(&dead), foreign(&original), "{case}");
        assert_eq!(dead["properties"], original["properties"], "{case}");
    }
}
