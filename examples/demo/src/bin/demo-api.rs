//! An HTTP service that enqueues: it answers as soon as the job is stored, and does not wait until it is done.
//!
//! `AMQP_URL` says where RabbitMQ is, `LISTEN` where to serve (`127.0.0.1:8080` unless set).

use std::error::Error;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use leveret::{ConnectOptions, Fate, Job, Producer, Rabbit};
use leveret_demo::jobs::{BuildReport, SendWelcome};
use serde_json::{Value, json};

type Answer = (StatusCode, Json<Value>);

/// Stores the job and answers with its id. Where it cannot be stored the caller is told so, and whether to try again.
async fn enqueue<J: Job>(State(producer): State<Producer>, Json(job): Json<J>) -> Answer {
    match producer.enqueue(job).await {
        Ok(id) => (StatusCode::ACCEPTED, Json(json!({ "id": id.as_str() }))),
        Err(error) => {
            tracing::error!(%error, "not enqueued");
            let status = match error.fate() {
                Fate::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
                // Not stored, or nobody knows: the same request may be sent again.
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, Json(json!({ "error": error.to_string() })))
        }
    }
}

/// Ready while there is a connection to publish on. Without one jobs are still taken: they wait in the ledger.
async fn ready(State(producer): State<Producer>) -> StatusCode {
    match producer.rabbit().publishing().state().borrow().is_up() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn routes(producer: Producer) -> Router {
    Router::new()
        .route("/welcome", post(enqueue::<SendWelcome>))
        .route("/reports", post(enqueue::<BuildReport>))
        .route("/ready", get(ready))
        .with_state(producer)
}

/// Resolves at SIGTERM (what `docker compose stop` sends) or Ctrl-C.
async fn asked_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let rabbit = Rabbit::start(ConnectOptions::from_env()?.connection_name("demo-api"))?;
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");

    axum::serve(listener, routes(rabbit.producer()))
        .with_graceful_shutdown(async {
            if let Err(error) = asked_to_end().await {
                tracing::error!(%error, "signals cannot be listened to: ending");
            }
        })
        .await?;
    // What was accepted is confirmed before the process ends.
    rabbit.close().await;
    Ok(())
}
