//! The example programs as processes on a real RabbitMQ: what a signal and what `kill -9` do to them.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use leveret::{Envelope, Rabbit};
use leveret_examples::SendWelcome;
use leveret_tests::signal::{eventually, soon};
use leveret_tests::{shared, taker};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// One of the example programs, and the lines that it prints.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    async fn start(program: &str) -> Self {
        let mut child = Command::new(program)
            .env("AMQP_URL", shared().await.amqp_url())
            .env("LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it was built");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// The next line; `None` at its end.
    async fn next_line(&mut self) -> Option<String> {
        soon("a line of the program", self.lines.next_line())
            .await
            .expect("text")
    }

    /// Skips lines up to one that begins like this.
    async fn line(&mut self, begin: &str) -> String {
        loop {
            let line = self.next_line().await;
            let line = line.unwrap_or_else(|| panic!("the program ended before it said `{begin}`"));
            if line.starts_with(begin) {
                return line;
            }
        }
    }

    fn terminate(&self) {
        let pid = self.child.id().expect("it still runs").to_string();
        let status = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        assert!(status.expect("kill is there").success());
    }
}

/// A request, and the status and body of its answer; as little of HTTP as will do.
fn http(address: &str, request: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other(answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_web_service_and_worker_together_and_nothing_is_lost() {
    // Given the service, ready, with one report that is being printed and one that waits for the printer
    let mut service = Program::start(env!("CARGO_BIN_EXE_axum-service")).await;
    let line = service.line("listening on http://").await;
    let address = line.trim_start_matches("listening on http://").to_owned();
    eventually("the service is ready", async || {
        http(&address, "GET /readyz", "").is_ok_and(|(status, _)| status == 200)
    })
    .await;
    let health = http(&address, "GET /healthz", "").expect("an answer");
    assert_eq!(
        health,
        (200, "ready; reports: consuming; reports.suspect: consuming".to_owned())
    );
    for name in ["first", "second"] {
        let body = format!("{{\"name\": \"{name}\", \"pages\": 20}}");
        let (status, id) = http(&address, "POST /reports", &body).expect("an answer");
        assert_eq!((status, id.len()), (202, 36), "{id}");
    }
    let (status, _) = http(&address, "POST /reports", "{\"name\": 1}").expect("an answer");
    assert_eq!(status, 422);
    service.line("first: page 1 ").await;

    // When it is asked to end in the midst of the first
    service.terminate();

    // Then the first is finished, the process ends well, and the second is there for the next
    service.line("first: done").await;
    let report = service.line("reports: ").await;
    assert!(report.starts_with("reports: 1 completed, 0 failed"), "{report}");
    let status = soon("the end of the process", service.child.wait())
        .await
        .expect("waited");
    assert!(status.success(), "{status}");
    assert!(http(&address, "GET /healthz", "").is_err(), "nobody listens any more");
    let rabbit = Rabbit::connect(&*shared().await.amqp_url()).await.expect("connected");
    assert_eq!(taker::depth(&rabbit, "reports").await, 1);

    // And the next one prints it
    let mut next = Program::start(env!("CARGO_BIN_EXE_axum-service")).await;
    next.line("second: done").await;
    next.terminate();
    assert!(
        soon("the end of the process", next.child.wait())
            .await
            .expect("waited")
            .success()
    );
    assert_eq!(taker::depth(&rabbit, "reports").await, 0);
    rabbit.close().await;
}

const JOBS: usize = 5_000;

/// What a worker may have fetched of fast jobs: 200, and what is left of the few that its first consumer had.
const FETCHED: usize = 220;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_process_had_is_done_by_the_next() {
    // Given a worker process amid five thousand jobs: it cannot go on, because nobody reads what it prints
    let rabbit = Rabbit::connect(&*shared().await.amqp_url()).await.expect("connected");
    let letter = |number| {
        let address = format!("{number}@example.org");
        Envelope::new(SendWelcome { address }).expect("plain")
    };
    let results = rabbit.producer().enqueue_envelopes((0..JOBS).map(letter)).await;
    assert!(results.iter().all(Result::is_ok));
    let mut worker = Program::start(env!("CARGO_BIN_EXE_worker")).await;
    let mut written = Vec::new();
    while written.len() < 500 {
        written.extend(worker.next_line().await.as_deref().and_then(recipient));
    }

    // When it is killed
    worker.child.kill().await.expect("killed");
    while let Some(line) = worker.next_line().await {
        written.extend(recipient(&line));
    }
    let by_the_first = written.len();
    assert!(by_the_first < JOBS, "it was in the midst of them");

    // Then another does all that the first did not
    let mut next = Program::start(env!("CARGO_BIN_EXE_worker")).await;
    let mut recipients: BTreeSet<String> = written.into_iter().collect();
    while recipients.len() < JOBS {
        let line = next.next_line().await.expect("it runs");
        recipients.extend(recipient(&line));
    }
    next.terminate();
    let report = next.line("mail: ").await;
    assert!(
        soon("the end of the process", next.child.wait())
            .await
            .expect("waited")
            .success()
    );

    // And nothing is left, no dead letters, and no more ran twice than the first had fetched
    println!("{by_the_first} by the first; the second: {report}");
    assert_eq!(taker::depth(&rabbit, "mail").await, 0);
    assert_eq!(taker::depth(&rabbit, "mail.dead").await, 0);
    let completed: usize = report
        .split(' ')
        .nth(1)
        .and_then(|count| count.parse().ok())
        .expect("a count");
    assert!(
        (JOBS - by_the_first..=JOBS - by_the_first + FETCHED).contains(&completed),
        "{report}"
    );
    rabbit.close().await;
}

/// Whom a line says that the worker has written to.
fn recipient(line: &str) -> Option<String> {
    line.split_once(" writes to ")
        .map(|(_, recipient)| recipient.to_owned())
}
