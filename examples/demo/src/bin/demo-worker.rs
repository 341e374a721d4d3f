//! The worker of the demo: two queues, so that no mail waits for a report.
//!
//! `AMQP_URL` says where RabbitMQ is, `FAILING` which share of the mails fails (0.3 unless set). Start as many of it as you like.

use std::error::Error;

use leveret::ConnectOptions;
use leveret_demo::handlers::{Mailer, worker};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let failing = std::env::var("FAILING").map_or(Ok(0.3), |share| share.parse())?;
    let options = ConnectOptions::from_env()?.connection_name("demo-worker");
    let worker = worker(options, Mailer { failing }).build()?;
    let handle = worker.handle();
    let watch = tokio::spawn(async move {
        if handle.ready().await {
            tracing::info!("consuming");
        }
    });
    let report = worker.run_until_signal().await?;
    watch.await?;
    tracing::info!("{report}");
    Ok(())
}
