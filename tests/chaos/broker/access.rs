//! The broker no longer lets us in, or do what we want.

use std::time::Duration;

use crate::stage::Stage;

const WHILE: Duration = Duration::from_secs(6);

/// Whatever is done now is refused; whoever is connected stays so.
pub(super) async fn permission_lost(stage: &mut Stage) {
    stage.tick_often().await;
    stage.allowed.refused = true;
    stage.cause_begins();
    stage.ctl(&["set_permissions", "guest", "^$", "^$", "^$"]).await;
    stage.last(WHILE).await;
    stage.ctl(&["clear_permissions", "guest"]).await;
    stage.last(WHILE).await;
    give_back(stage).await;
    stage.cause_ended();
}

/// Nobody is let in.
pub(super) async fn shut_out(stage: &mut Stage) {
    stage.allowed.refused = true;
    stage.expect_unready();
    stage.cause_begins();
    stage.ctl(&["clear_permissions", "guest"]).await;
    stage.node().close_all_connections().await;
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
    stage.last(2 * WHILE).await;
    stage.ctl(&["change_password", "guest", "guest"]).await;
    stage.cause_ended();
}
