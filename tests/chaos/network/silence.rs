//! Connections that live and are silent.

use std::time::Duration;

use super::{all_again, connected};
use crate::stage::{HEARTBEAT, Stage};

/// Longer than two heartbeats: by its end everybody knows.
const LONG: Duration = Duration::from_secs(3 * HEARTBEAT.as_secs());
/// Half a heartbeat; a busy machine may make it longer.
const SHORT: Duration = Duration::from_secs(HEARTBEAT.as_secs() / 2);
/// Between what the first notices and what the last does.
const BETWEEN: [u64; 4] = [3, 5, 6, 8];

pub(super) async fn black_hole(stage: &mut Stage) {
    stage.expect_unready();
    stage.cause_begins();
    stage.proxy().stall();
    stage.last(LONG).await;
    stage.proxy().heal();
    stage.cause_ended();
}

pub(super) async fn black_hole_to_broker(stage: &mut Stage) {
    // The broker alone can tell: it looks once a heartbeat, and wants to have heard nothing twice.
    stage.expect_unready_within(3);
    stage.note("RabbitMQ takes two to three heartbeats to miss a client");
    stage.cause_begins();
    stage.proxy().stall_to_broker();
    // Until the broker has told: what it has to look for twice may take three heartbeats and a look.
    stage.last(LONG + HEARTBEAT).await;
    stage.proxy().heal();
    stage.cause_ended();
}

pub(super) async fn black_hole_to_client(stage: &mut Stage) {
    stage.expect_unready();
    stage.cause_begins();
    stage.proxy().stall_to_client();
    stage.last(LONG).await;
    stage.proxy().heal();
    stage.cause_ended();
}

/// Nobody is to notice.
pub(super) async fn short_stall(stage: &mut Stage) {
    stage.allowed.nothing_shows = true;
    connected(stage).await;
    let accepted = stage.proxy().accepted();
    stage.cause_begins();
    for _ in 0..3 {
        stage.proxy().stall();
        stage.last(SHORT).await;
        stage.proxy().heal();
        stage.last(SHORT).await;
    }
    stage.cause_ended();
    stage.last(LONG).await;
    if stage.proxy().accepted() != accepted {
        stage.fault("somebody connected anew for a stall of half a heartbeat");
    }
}

/// As by a router that forgets its connections and remembers them: who connects anew is served, and what was under way arrives late, or
/// never.
pub(super) async fn long_stall(stage: &mut Stage) {
    let connected = connected(stage).await;
    stage.cause_begins();
    for seconds in BETWEEN {
        all_again(stage, connected).await;
        stage.proxy().stall_open();
        stage.last(Duration::from_secs(seconds)).await;
        stage.proxy().heal();
    }
    stage.cause_ended();
}

/// Nobody gets beyond the TCP connection.
pub(super) async fn silent_listener(stage: &mut Stage) {
    stage.expect_unready();
    stage.cause_begins();
    stage.proxy().silent();
    stage.proxy().cut().await;
    stage.last(LONG).await;
    stage.proxy().heal();
    stage.cause_ended();
    stage.note("who waits for a silent host waits for the connect deadline (10 s)");
}
