//! Messages of clients that know nothing of Leveret.

use std::sync::{Arc, Mutex};

use leveret::JobId;
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

#[derive(Clone, Default)]
struct Runs(Arc<Mutex<Vec<Seen>>>);

/// Fails whatever it is given, so that each job is retried once and then a dead letter.
async fn fail(job: SendWelcome, State(runs): State<Runs>, context: Context) -> Result<(), &'static str> {
    let seen = Seen {
        address: job.address,
        id: context.id().clone(),
        attempt: context.attempt(),
        correlation_id: context.correlation_id().map(str::to_owned),
    };
    runs.0.lock().expect("no panic").push(seen);
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

/// Publishes each message once to see it, and once for a worker whose handler fails.
async fn ends_of(client: &str, cases: &[&str]) -> Vec<End> {
    let bench = Bench::new("odd").await;
    bench.publish_odd(cases).await;
    let originals = bench.look_with(client, bench.queue.name(), cases.len(), "job").await;
    let runs = Runs::default();
    let running = Running::start(bench.worker().state(runs.clone()).register(fail)).await;
    bench.publish_odd(cases).await;
    let dead = bench.look_with(client, &bench.dead(), cases.len(), "dead_letter").await;
    let report = running.stop().await;
    let dead_letters = report.queue(bench.queue.name()).map(|queue| queue.dead_lettered);
    assert_eq!(dead_letters, Some(cases.len() as u64));
    bench.wait_until_empty().await;
    assert_eq!(bench.dead_letter_count().await, 0, "one message, one dead letter");
    let runs = runs.0.lock().expect("no panic").clone();
    originals
        .into_iter()
        .map(|original| end(original, &dead, &runs))
        .collect()
}

/// What became of one of them. One without an id is the only one.
fn end(original: Value, dead: &[Value], runs: &[Seen]) -> End {
    let id = &original["properties"]["message_id"];
    let is_it = |other: &str| id.as_str().is_none_or(|id| id == other);
    let dead = dead
        .iter()
        .find(|dead| dead["properties"]["message_id"].as_str().is_some_and(is_it));
    End {
        runs: runs.iter().filter(|run| is_it(run.id.as_str())).cloned().collect(),
        dead: dead.expect("each has its dead letter").clone(),
        original,
    }
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
    let End { original, runs, dead } = ends_of("kombu", &["bare"]).await.remove(0);

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
async fn text_properties_and_headers_of_others_are_kept_whatever_is_in_them() {
    let cases = ["umlauts", "escaped", "headers", "kombu", "kombu-text"];
    let mut ends = ends_of("kombu", &cases).await;

    for End { original, runs, dead } in &ends {
        let id = original["properties"]["message_id"].as_str().expect("each has one");
        assert_eq!(addresses_and_attempts(runs), [(UMLAUTS, 1), (UMLAUTS, 2)], "{id}");
        assert_eq!(dead["body"], json!({"address": UMLAUTS}), "{id}");
        assert_eq!(dead["properties"], original["properties"], "{id}");
    }
    let [_, escaped, headers, kombu, _] = &mut ends[..] else {
        panic!("an end of each")
    };
    assert_eq!(
        escaped.dead["properties"]["content_type"],
        "application/json; charset=ascii"
    );
    assert_eq!(kombu.dead["properties"]["content_encoding"], "utf-8");
    assert_eq!(kombu.runs[1].correlation_id.as_deref(), Some("c-1"));
    assert_eq!(foreign(&kombu.dead)["tenant"], "eu");
    assert_eq!(foreign(&kombu.dead), foreign(&kombu.original));

    let (mut before, mut after) = (foreign(&headers.original), foreign(&headers.dead));
    assert_eq!(before["list"], json!([1, "two", {"three": [3]}]));
    assert!(before["traceparent"].is_string() && before["umlauts"] == UMLAUTS);
    // The one kind of value that comes back as another: AMQP's decimal as a double.
    assert_eq!(before["price"].take(), json!({"other": "9.99"}));
    assert_eq!(after["price"].take(), json!(9.99));
    assert_eq!(after, before);
}

#[tokio::test]
async fn what_is_no_json_is_a_dead_letter_at_once_with_its_bytes_intact() {
    // kombu would decompress what it reads.
    for End { original, runs, dead } in ends_of("pika", &["compressed", "pickled"]).await {
        let id = &original["properties"]["message_id"];
        assert!(runs.is_empty(), "{id} ran");
        assert!(original["body"]["base64"].is_string(), "{id} is JSON");
        assert_eq!(dead["body"], original["body"], "{id}");
        assert_eq!(dead["headers"]["leveret-failure-reason"], "undecodable", "{id}");
        assert_eq!(foreign(&dead), foreign(&original), "{id}");
        assert_eq!(dead["properties"], original["properties"], "{id}");
    }
}
