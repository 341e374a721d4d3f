//! The broker no longer lets us in, or do what we want.

use std::time::Duration;

use leveret_tests::secret::PASSWORD;
use leveret_tests::soak::record::Told;

use crate::stage::Stage;

const WHILE: Duration = Duration::from_secs(6);

/// A channel without work forgets after a second or two what it was allowed; one that is busy never asks again.
const FORGETS: Duration = Duration::from_secs(4);

/// Whatever is done now is refused; whoever is connected stays so.
pub(super) async fn permission_lost(stage: &mut Stage) {
    stage.allowed.refused = true;
    // Some of what workers have in hand fails, and its retries are refused as well: that makes no dead letters of them.
    stage.allowed.dead = Some(0);
    stage.hold_workers();
    stage.last(Duration::from_secs(1)).await;
    stage.hold_producer().await;
    stage.cause_begins();
    stage.ctl(&["set_permissions", "guest", "^$", "^$", "^$"]).await;
    stage.last(FORGETS).await;
    let before = confirmed(stage);
    stage.release_all();
    stage.last(WHILE).await;
    if confirmed(stage) > before {
        stage.fault("the user could go on: this is no test");
    }
    stage.ctl(&["clear_permissions", "guest"]).await;
    stage.last(WHILE).await;
    give_back(stage).await;
    stage.cause_ended();
}

fn confirmed(stage: &Stage) -> usize {
    let produced = stage.flow.produced();
    produced.iter().filter(|line| line.told == Told::Confirmed).count()
}

/// Nobody is let in.
pub(super) async fn shut_out(stage: &mut Stage) {
    stage.allowed.refused = true;
    stage.allowed.dead = Some(0);
    stage.expect_unready();
    stage.cause_begins();
    stage.ctl(&["clear_permissions", "guest"]).await;
    stage.node().close_all_connections().await;
    stage.cause_stands();
    stage.last(WHILE).await;
    give_back(stage).await;
    stage.cause_ended();
}

async fn give_back(stage: &Stage) {
    stage.ctl(&["set_permissions", "guest", ".*", ".*", ".*"]).await;
}

pub(super) async fn password_changed(stage: &mut Stage) {
    stage.expect_unready();
    stage.cause_begins();
    stage.ctl(&["change_password", "guest", "another"]).await;
    stage.node().close_all_connections().await;
    stage.cause_stands();
    stage.last(2 * WHILE).await;
    stage.ctl(&["change_password", "guest", PASSWORD]).await;
    stage.cause_ended();
}
