//! A worker process for the suites: it says on its standard output which jobs it starts and which it has done, and aborts on number 0.
//! `AMQP_URL` names the broker.

use std::io::Write;

use leveret_tests::poisoned::Dose;
use leveret_worker::Worker;

/// Written at once: an abort flushes nothing.
fn say(word: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{word} {number}").and_then(|()| out.flush());
    if written.is_err() {
        // Nobody listens any more.
        std::process::exit(1);
    }
}

async fn swallow(dose: Dose) {
    say("start", dose.number);
    if dose.number == 0 {
        std::process::abort();
    }
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    say("done", dose.number);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("AMQP_URL")?;
    let worker = Worker::builder(url).register(swallow).build()?;
    println!("{}", worker.run_until_signal().await?);
    Ok(())
}
