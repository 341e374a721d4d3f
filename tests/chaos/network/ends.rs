//! Connections that end.

use super::{all_again, connected};
use crate::stage::Stage;

/// How often each is done: what it meets differs.
const ROUNDS: usize = 5;
/// Where the stream breaks off: within the head of a frame, within its body, or just at its end.
const BYTES: [u64; 6] = [1, 6, 200, 333, 1_021, 5_000];

pub(super) async fn reset(stage: &mut Stage) {
    let connected = connected(stage).await;
    stage.cause_begins();
    for round in 0..ROUNDS {
        if round > 0 {
            all_again(stage, connected).await;
        }
        stage.proxy().cut().await;
    }
    stage.cause_ended();
}

/// Half of those who come back begin with the host that is silent.
pub(super) async fn reset_under_tls(stage: &mut Stage) {
    let connected = connected(stage).await;
    stage.cause_begins();
    stage.proxy().cut().await;
    all_again(stage, connected).await;
    stage.proxy().cut().await;
    stage.cause_ended();
    stage.note("who begins with the silent host waits for the connect deadline (10 s)");
}

pub(super) async fn finish(stage: &mut Stage) {
    let connected = connected(stage).await;
    stage.cause_begins();
    for round in 0..ROUNDS {
        if round > 0 {
            all_again(stage, connected).await;
        }
        stage.proxy().fin().await;
    }
    stage.cause_ended();
}

pub(super) async fn mid_frame(stage: &mut Stage) {
    let connected = connected(stage).await;
    stage.cause_begins();
    for bytes in BYTES {
        for cut_after in [
            leveret_tests::Proxy::cut_after,
            leveret_tests::Proxy::cut_after_to_client,
        ] {
            all_again(stage, connected).await;
            let accepted = stage.proxy().accepted();
            cut_after(stage.proxy(), bytes);
            // Who was cut comes again.
            stage.proxy().wait_for_accepted(accepted + 1).await;
        }
    }
    stage.cause_ended();
}
