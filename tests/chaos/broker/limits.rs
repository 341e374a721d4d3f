//! The broker has less patience, or room, than we thought.

use std::time::Duration;

use leveret_tests::signal::eventually_within;
use leveret_tests::soak::record::Told;

use crate::stage::Stage;

const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const LENGTH: &[&str] = &["--max-length", "200"];

pub(super) async fn queue_full(stage: &mut Stage) {
    stage.allowed.refused = true;
    stage.cause_begins();
    stage.hold_workers();
    let refused = async || {
        let produced = stage.flow.produced();
        produced.iter().filter(|line| line.told == Told::Refused).count() >= 500
    };
    eventually_within(PATIENCE, "500 jobs are refused".to_owned(), refused).await;
    stage.release_workers();
    stage.cause_ended();
}

/// Each loss of a connection is a failed delivery of what workers have in hand: the second is one too many.
pub(super) async fn delivery_limit(stage: &mut Stage) {
    let queue = stage.flow.queue.clone();
    stage.cause_begins();
    let limit = [
        "set_policy",
        "chaos",
        "^soak$",
        r#"{"delivery-limit":1}"#,
        "--apply-to",
        "queues",
    ];
    stage.ctl(&limit).await;
    stage.hold_workers();
    stage.wait_for_depth(&queue, |depth| depth.unacked >= 32).await;
    for _ in 0..3 {
        stage.node().close_all_connections().await;
        stage.wait_for_depth(&queue, |depth| depth.unacked >= 32).await;
    }
    stage.wait_for_depth("soak.dead", |depth| depth.messages > 0).await;
    stage.release_workers();
    stage.ctl(&["clear_policy", "chaos"]).await;
    stage.cause_ended();
}

/// The broker takes back what is held for longer than it likes, and delivers it again.
pub(super) async fn consumer_timeout(stage: &mut Stage) {
    stage.tick_often().await;
    stage.cause_begins();
    stage.hold_workers();
    let told = async || {
        let is_told =
            |states: &Vec<(u64, String)>| states.iter().any(|(_, health)| health.contains("consumer_timeout"));
        stage.flow.states().iter().all(is_told)
    };
    eventually_within(PATIENCE, "both workers are told of the time-out".to_owned(), told).await;
    stage.release_workers();
    stage.cause_ended();
}
