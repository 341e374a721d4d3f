//! A line that is slow, or loses packets.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::stage::Stage;
use crate::way::Line;

/// 10 kB a second.
const SLOW: u32 = 80_000;
/// Of all packets, each way.
const LOST: &str = "0.1";
const LONG: Duration = Duration::from_secs(20);

/// Less than half of what is enqueued gets through, and nobody is given up.
pub(super) async fn slow(stage: &mut Stage) {
    let before = connections(stage).await;
    stage.cause_begins();
    line(stage).slow_down(SLOW).await;
    stage.last(LONG).await;
    line(stage).heal_speed().await;
    stage.cause_ended();
    if connections(stage).await != before {
        stage.fault("a connection was given up that was only slow");
    }
}

pub(super) async fn lossy(stage: &mut Stage) {
    let before = connections(stage).await;
    stage.cause_begins();
    line(stage).lose(LOST).await;
    stage.last(LONG).await;
    line(stage).heal_losses().await;
    stage.cause_ended();
    let kept = connections(stage).await.intersection(&before).count();
    stage.note(format!("{kept} of {} connections lasted", before.len()));
}

fn line(stage: &Stage) -> &Line {
    stage.way.line.as_ref().expect("the scenario has a line")
}

/// The connections, by the ports of their clients.
async fn connections(stage: &Stage) -> BTreeSet<String> {
    let listed = stage.ctl(&["list_connections", "--quiet", "peer_port"]).await;
    listed.lines().map(str::to_owned).collect()
}
