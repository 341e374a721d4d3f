//! `docs/wire-format.schema.json` and `docs/wire-format.md` against what Leveret publishes.

use std::collections::BTreeSet;
use std::time::Duration;

use leveret_worker::{BoxError, Fetcher, JobError};
use serde_json::{Value, json};

use crate::kit::*;

const HEADERS: &str = include_str!("../../../core/src/envelope/headers.rs");
const SCHEMA: &str = include_str!("../../../docs/wire-format.schema.json");
const TEXT: &str = include_str!("../../../docs/wire-format.md");

fn welcome() -> SendWelcome {
    SendWelcome {
        address: UMLAUTS.to_owned(),
    }
}

/// A job with all that can be set for it, enqueued.
async fn enqueue_with_everything(bench: &Bench) {
    let enqueue = bench.rabbit.producer().enqueue(welcome()).queue(&bench.queue);
    let enqueue = enqueue
        .id("w-7")
        .correlation_id("signup-7")
        .header("tenant", "eu")
        .max_attempts(2)
        .timeout(Duration::from_secs(9));
    enqueue.await.expect("stored");
}

async fn fail_once(bench: &Bench, error: impl Into<BoxError>) {
    let mut fetcher = Fetcher::connect(&bench.rabbit, &bench.queue).await.expect("connected");
    let fetched = fetcher.fetch::<SendWelcome>().await.expect("readable").expect("there");
    fetched.settle(Err::<(), _>(error.into())).await.expect("taken in");
}

/// Messages of one kind, as each of two clients sees them.
async fn seen(kind: &str, queue: impl Fn(&Bench) -> String, publish: impl AsyncFn(&Bench)) -> [Value; 2] {
    let bench = Bench::new("schema").await;
    let look = async |client| {
        publish(&bench).await;
        bench.look_with(client, &queue(&bench), 1, kind).await.remove(0)
    };
    [look("pika").await, look("kombu").await].map(|mut message| {
        // The time, and the queue's name, which is made by chance.
        message["properties"]["timestamp"].take();
        if let Some(at) = message["headers"].get_mut("leveret-failure-at-ms") {
            at.take();
        }
        for header in ["leveret-origin", "leveret-failure-queue"] {
            if let Some(queue) = message["headers"].get_mut(header) {
                assert_eq!(queue.take(), bench.queue.name());
            }
        }
        message
    })
}

fn work_queue(bench: &Bench) -> String {
    bench.queue.name().to_owned()
}

#[tokio::test]
async fn what_is_enqueued_is_as_the_schema_says() {
    let plain = async |bench: &Bench| {
        let enqueue = bench.rabbit.producer().enqueue(welcome()).queue(&bench.queue);
        enqueue.id("w-8").await.expect("stored");
    };
    for seen in seen("enqueued", work_queue, plain).await {
        let properties = json!({
            "message_id": "w-8", "type": "send_welcome", "content_type": "application/json", "delivery_mode": 2,
            "app_id": "leveret", "timestamp": null,
        });
        assert_eq!(seen["properties"], properties);
        let headers = seen["headers"].as_object().into_iter().flatten();
        let ours: Vec<_> = headers.filter(|(name, _)| name.starts_with("leveret-")).collect();
        assert!(ours.is_empty(), "{ours:?}");
        assert_eq!(seen["body"], json!({"address": UMLAUTS}));
    }
    for seen in seen("enqueued", work_queue, enqueue_with_everything).await {
        assert_eq!(seen["properties"]["correlation_id"], "signup-7");
        let headers = &seen["headers"];
        for header in ["leveret-attempt", "leveret-hop", "leveret-origin"] {
            assert_eq!(headers.get(header), None, "{header}");
        }
        assert_eq!(headers["leveret-max-attempts"], 2);
        assert_eq!(headers["leveret-timeout-ms"], 9_000);
        assert_eq!(headers["tenant"], "eu");
    }
}

#[tokio::test]
async fn a_retry_is_as_the_schema_says_and_its_reader_sees_why() {
    let fail = async |bench: &Bench| {
        enqueue_with_everything(bench).await;
        fail_once(bench, "the mail server is away").await;
    };
    for seen in seen("retry", work_queue, fail).await {
        assert_eq!(seen["properties"]["message_id"], "w-7");
        assert_eq!(seen["body"], json!({"address": UMLAUTS}));
        let headers = &seen["headers"];
        assert_eq!(
            (&headers["leveret-attempt"], &headers["leveret-hop"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(headers["leveret-failure-reason"], "failed");
        assert_eq!(headers["leveret-failure-error"], "the mail server is away");
        let history = headers["leveret-history"].as_str().expect("JSON in a text");
        let history: Value = serde_json::from_str(history).expect("JSON");
        assert_eq!(
            (&history[0]["attempt"], &history[0]["reason"]),
            (&json!(1), &json!("failed"))
        );
        assert_eq!(headers["leveret-max-attempts"], 2);
        assert_eq!(headers["tenant"], "eu");
    }
}

#[tokio::test]
async fn a_dead_letter_is_as_the_schema_says() {
    let reject = async |bench: &Bench| {
        enqueue_with_everything(bench).await;
        fail_once(bench, JobError::reject("no such address")).await;
    };
    for seen in seen("dead_letter", Bench::dead, reject).await {
        assert_eq!(seen["properties"]["message_id"], "w-7");
        assert_eq!(seen["headers"]["leveret-attempt"], 1);
        assert_eq!(seen["headers"]["leveret-failure-reason"], "rejected");
    }
}

#[tokio::test]
async fn the_schema_tells_one_kind_of_message_from_another() {
    let bench = Bench::new("schema-kinds").await;
    enqueue_with_everything(&bench).await;
    let look = bench.look_for_faults("pika", bench.queue.name(), 1, "retry");
    let (_, faults) = look.await.remove(0);
    assert!(
        faults.iter().any(|fault| fault.contains("leveret-failure-reason")),
        "{faults:?}"
    );

    enqueue_with_everything(&bench).await;
    fail_once(&bench, "the mail server is away").await;
    let look = bench.look_for_faults("kombu", bench.queue.name(), 1, "enqueued");
    let (_, faults) = look.await.remove(0);
    assert!(
        faults.iter().any(|fault| fault.starts_with("headers/leveret-hop")),
        "{faults:?}"
    );
}

/// Every name in quotation marks that has our prefix.
fn names_in(code: &str) -> Vec<&str> {
    let quoted = code.split('"').skip(1).step_by(2);
    quoted
        .filter(|text| text.starts_with("leveret-") && text.len() > "leveret-".len())
        .collect()
}

#[test]
fn every_header_of_the_code_is_in_the_schema_and_in_its_text_and_no_other() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let described = schema["$defs"]["headers"]["properties"].as_object().expect("a table");
    let described: BTreeSet<&str> = described.keys().map(String::as_str).collect();
    let described = described.into_iter().filter(|name| name.starts_with("leveret-"));
    let written: BTreeSet<&str> = names_in(HEADERS).into_iter().collect();

    assert_eq!(described.collect::<BTreeSet<_>>(), written);
    for name in written {
        assert!(
            TEXT.contains(&format!("`{name}`")),
            "wire-format.md does not tell of {name}"
        );
    }
}
