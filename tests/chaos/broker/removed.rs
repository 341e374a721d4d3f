//! Somebody deletes what we need. What lay in it is counted before, while everybody is held; nothing else is lost, and nothing later.

use std::time::Duration;

use crate::scenario::{Load, Options};
use crate::stage::{Stage, load, make_vhost};

/// One in eleven jobs fails twice and is dead.
pub(super) const MANY_DIE: Load = Load {
    fail_rate: "0.3",
    options: Options {
        producer: &["--max-attempts", "2"],
        worker: &[],
    },
    ..load(20)
};

pub(super) async fn queue(stage: &mut Stage) {
    stage.allowed.destroyed = stage.hold_all().await;
    stage.cause_begins();
    let queue = stage.flow.queue.clone();
    stage.ctl(&["delete_queue", &queue]).await;
    stage.cause_ended();
    stage.release_all();
}

pub(super) async fn vhost(stage: &mut Stage) {
    stage.allowed.destroyed = stage.hold_all().await;
    stage.expect_unready();
    let vhost = stage.vhost();
    stage.cause_begins();
    stage.ctl(&["delete_vhost", vhost]).await;
    stage.cause_stands();
    stage.last(Duration::from_secs(5)).await;
    for step in make_vhost(vhost) {
        stage.ctl(&step).await;
    }
    stage.cause_ended();
    stage.release_all();
}

pub(super) async fn dead_exchange(stage: &mut Stage) {
    stage.cause_begins();
    for _ in 0..3 {
        delete_exchange(stage, "leveret.dead").await;
        stage.last(Duration::from_secs(2)).await;
    }
    stage.cause_ended();
}

/// A retry waits up to ten units of 100 ms. Whoever publishes to an exchange that is gone makes it anew, and all others with it. To the one at
/// the ladder's end only the broker publishes: what has waited stays in the lowest level until a worker declares it again, as it does every minute.
pub(super) async fn delay_exchanges(stage: &mut Stage) {
    stage.cause_begins();
    for name in ["v1.00", "v1.02", "v1.deliver"] {
        delete_exchange(stage, &format!("leveret.delay.{name}")).await;
        stage.last(Duration::from_secs(2)).await;
    }
    stage.cause_ended();
    stage.note("the ladder's end is made anew once a minute; the broker tries again after three");
}

async fn delete_exchange(stage: &Stage, name: &str) {
    let vhost = stage.vhost();
    let resource = format!("rabbit_misc:r(<<\"{vhost}\">>, exchange, <<\"{name}\">>)");
    let delete = format!("rabbit_exchange:delete({resource}, false, <<\"chaos\">>).");
    let said = stage.ctl(&["eval", &delete]).await;
    assert!(
        said.contains("ok") || said.contains("not_found"),
        "deleting {name}: {said}"
    );
}
