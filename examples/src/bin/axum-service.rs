//! A web service with its worker inside: one process, one pair of connections, one shutdown. `POST /reports` enqueues, the worker prints, `/healthz`
//! and `/readyz` tell an orchestrator how it is. On SIGTERM or Ctrl-C no new requests and jobs are taken, and those that run are finished.
//!
//! `cargo run -p leveret-examples --bin axum-service` needs no broker; with `AMQP_URL=amqp://localhost` it runs on RabbitMQ. Then
//! `curl -d '{"name":"q3","pages":20}' -H 'content-type: application/json' localhost:3000/reports`

use std::error::Error;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use leveret::{ConnectOptions, Job, Producer, Queue, Rabbit};
use leveret_worker::{Worker, WorkerHandle};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

const REPORTS: Queue = Queue::new("reports");

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = REPORTS, timeout = "1m")]
struct PrintReport {
    name: String,
    pages: u32,
}

/// The worker's part: a page takes a while.
async fn print_report(job: PrintReport) {
    for page in 1..=job.pages {
        println!("{}: page {page} of {}", job.name, job.pages);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{}: done", job.name);
}

/// What the web service's handlers need.
#[derive(Clone)]
struct Service {
    producer: Producer,
    worker: WorkerHandle,
}

/// 202 with the job's id once it is stored; 503 says that it is not, or that nobody knows: try again.
async fn enqueue(State(service): State<Service>, Json(job): Json<PrintReport>) -> (StatusCode, String) {
    match service.producer.enqueue(job).await {
        Ok(id) => (StatusCode::ACCEPTED, id.to_string()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// Shall the process be restarted? Not because of an outage of the broker: the worker outlives that.
async fn healthz(State(service): State<Service>) -> (StatusCode, String) {
    let health = service.worker.health();
    (ok_or_unavailable(health.is_alive()), health.to_string())
}

/// Does it work right now?
async fn readyz(State(service): State<Service>) -> (StatusCode, String) {
    let health = service.worker.health();
    (ok_or_unavailable(health.is_ready()), health.to_string())
}

fn ok_or_unavailable(ok: bool) -> StatusCode {
    if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let options: ConnectOptions = variable("AMQP_URL", "memory://").parse()?;

    // The connections, shared by the web service's producer and the worker.
    let rabbit = Rabbit::connect(options.connection_name("axum-service")).await?;
    let worker = Worker::builder(&rabbit)
        .register(print_report)
        .concurrency(&REPORTS, 1) // there is one printer
        .build()?;
    let service = Service {
        producer: rabbit.producer(),
        worker: worker.handle(),
    };
    let router = Router::new()
        .route("/reports", post(enqueue))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(service);
    let listener = TcpListener::bind(variable("LISTEN", "127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // One shutdown for both: the worker listens to the signals, and whichever begins to end takes the other along.
    let (stop_server, stop_worker) = (worker.handle(), worker.handle());
    let serving = async {
        let server = axum::serve(listener, router);
        let result = server
            .with_graceful_shutdown(async move { stop_server.shutting_down().await })
            .await;
        stop_worker.shutdown();
        result
    };
    let (served, report) = tokio::join!(serving, worker.run_until_signal());
    rabbit.close().await; // last of all: the requests that were being answered may have enqueued something
    served?;
    println!("{}", report?);
    Ok(())
}
