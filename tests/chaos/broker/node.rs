//! The broker goes away, and comes back.

use std::time::Duration;

use crate::stage::Stage;

pub(super) async fn stop_and_start(stage: &mut Stage) {
    stage.allowed.hops = true;
    stage.expect_unready();
    stage.cause_begins();
    stage.node().stop().await;
    stage.node().start_again().await;
    stage.cause_ended();
}

pub(super) async fn killed(stage: &mut Stage) {
    stage.allowed.hops = true;
    stage.expect_unready();
    stage.cause_begins();
    stage.node().kill().await;
    stage.node().start_again().await;
    stage.cause_ended();
}

pub(super) async fn app_stopped(stage: &mut Stage) {
    stage.allowed.hops = true;
    stage.expect_unready();
    stage.cause_begins();
    stage.ctl(&["stop_app"]).await;
    stage.cause_stands();
    stage.last(Duration::from_secs(3)).await;
    stage.ctl(&["start_app"]).await;
    stage.cause_ended();
}

pub(super) async fn connections_closed(stage: &mut Stage) {
    stage.cause_begins();
    for _ in 0..3 {
        stage.node().close_all_connections().await;
        stage.last(Duration::from_secs(2)).await;
    }
    stage.node().close_all_connections().await;
    stage.cause_ended();
}
