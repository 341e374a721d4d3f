//! TLS, against a real RabbitMQ with a TLS listener.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accepted;
mod certificates;
mod clients;
mod node;
mod refused;
mod renewal;

use leveret::{ConnectError, ConnectOptions, Job, Rabbit};
use leveret_tests::signal::soon;
use serde::{Deserialize, Serialize};

/// The job of these tests.
#[derive(Debug, Clone, Serialize, Deserialize, Job)]
#[job(queue = "unused", timeout = "60s")]
struct Note {
    number: u64,
}

/// Connects, or says why not, without waiting for another try.
async fn connect(options: ConnectOptions) -> Result<Rabbit, ConnectError> {
    soon("a connection or a refusal", Rabbit::connect(options)).await
}

/// The reason of a refusal that a person has to mend; whoever connects is told at the first try.
async fn refusal(options: ConnectOptions) -> String {
    let error = connect(options).await.expect_err("refused");
    assert!(error.is_refused(), "{error}");
    error.to_string()
}
