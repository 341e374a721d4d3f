//! The broker takes no publishes for a while. Who consumes does so on a connection of its own, and goes on.

use std::time::Duration;

use crate::scenario::{Load, Options};
use crate::stage::{Stage, load as usual};

/// What callers wait for a confirm.
const CONFIRM: [&str; 2] = ["--confirm-timeout", "5"];
/// Longer than that.
const LONG: Duration = Duration::from_secs(8);
/// What callers wait at the most, on a busy machine.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// None fails: a retry has to be published, and where half the prefetch waits for that a worker pauses.
pub(super) const fn load() -> Load {
    Load {
        fail_rate: "0",
        options: Options {
            producer: &CONFIRM,
            worker: &[],
        },
        ..usual(20)
    }
}

pub(super) async fn memory(stage: &mut Stage) {
    let usual = stage
        .ctl(&["eval", "vm_memory_monitor:get_vm_memory_high_watermark()."])
        .await;
    let on = ["set_vm_memory_high_watermark", "absolute", "1MB"];
    alarm(stage, &on, &["set_vm_memory_high_watermark", usual.trim()]).await;
}

pub(super) async fn disk(stage: &mut Stage) {
    let on = ["set_disk_free_limit", "900000GB"];
    alarm(stage, &on, &["set_disk_free_limit", "10MB"]).await;
}

async fn alarm(stage: &mut Stage, on: &[&str], off: &[&str]) {
    stage.allowed.longest_wait = LONGEST_WAIT;
    stage.hold_workers();
    stage.last(Duration::from_secs(2)).await;
    stage.cause_begins();
    stage.ctl(on).await;
    let (done, waiting) = (stage.flow.done(), stage.waiting().len());
    stage.release_workers();
    // Acks take the connection that is not blocked.
    stage.flow.wait_for_done(done + waiting * 3 / 4).await;
    stage.note(format!(
        "of {waiting} jobs that waited, {} were done meanwhile",
        stage.flow.done() - done
    ));
    stage.last(LONG).await;
    stage.ctl(off).await;
    stage.cause_ended();
}
