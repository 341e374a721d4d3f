//! Programs in Python, a queue of each test's own, and the job that all of them know.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use leveret::{Backoff, ConnectOptions, Job, JobId, Queue, Rabbit};
use leveret_tests::signal::{eventually, soon};
use leveret_tests::{python, shared, taker};
use leveret_worker::{ExitReport, RunError, Worker, WorkerBuilder, WorkerHandle};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

/// The job of the programs in `examples/interop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Job)]
#[job(queue = "unused", max_attempts = 2, backoff = Backoff::fixed("100ms"), timeout = "60s")]
pub(crate) struct SendWelcome {
    pub(crate) address: String,
}

/// One that they do not know.
#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "unused", timeout = "60s")]
pub(crate) struct Unheard {
    pub(crate) number: u64,
}

/// What breaks, where something treats text as bytes or bytes as text.
pub(crate) const UMLAUTS: &str = "Zoë <ζωή@例え.jp> 🐇 \u{2028} \"\\";

/// A queue that no other test uses, declared, and connections to the broker.
pub(crate) struct Bench {
    pub(crate) rabbit: Rabbit,
    pub(crate) queue: Queue,
}

impl Bench {
    pub(crate) async fn new(name: &str) -> Self {
        let options: ConnectOptions = shared().await.amqp_url().parse().expect("a good URL");
        let rabbit = Rabbit::connect(options).await.expect("the node answers");
        let queue = Queue::named(format!("{name}-{}", JobId::random())).expect("short enough");
        rabbit.declare(&queue).await.expect("declared");
        Self { rabbit, queue }
    }

    pub(crate) fn dead(&self) -> String {
        format!("{}.dead", self.queue.name())
    }

    /// A program of `examples/interop` on this queue.
    pub(crate) async fn example(&self, program: &str, arguments: &[&str]) -> Program {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/interop");
        Program::start(&directory.join(program), self.queue.name(), arguments).await
    }

    /// Has `odd.py` publish messages.
    pub(crate) async fn publish_odd(&self, cases: &[&str]) {
        let arguments = [&[self.queue.name()], cases].concat();
        let mut program = Program::start(&own("odd.py"), self.queue.name(), &arguments).await;
        assert_eq!(program.lines("published ", cases.len()).await, cases);
        assert!(program.end().await.success());
    }

    /// Takes messages from a queue as a client in Python sees them, each of this kind in the schema's words.
    pub(crate) async fn look(&self, queue: &str, count: usize, kind: &str) -> Vec<Value> {
        self.look_with("kombu", queue, count, kind).await
    }

    /// [`look`](Bench::look) with one of the two clients. pika 1.2 reads no fractions in headers.
    pub(crate) async fn look_with(&self, client: &str, queue: &str, count: usize, kind: &str) -> Vec<Value> {
        let seen = self.look_for_faults(client, queue, count, kind).await;
        let without_faults = |(message, faults): (Value, Vec<String>)| {
            assert!(faults.is_empty(), "no {kind}: {faults:?} in {message:#}");
            message
        };
        seen.into_iter().map(without_faults).collect()
    }

    /// [`look_with`](Bench::look_with), with what the schema finds wrong with each.
    pub(crate) async fn look_for_faults(
        &self,
        client: &str,
        queue: &str,
        count: usize,
        kind: &str,
    ) -> Vec<(Value, Vec<String>)> {
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/wire-format.schema.json");
        let schema = schema.to_str().expect("text");
        let arguments = [queue, &count.to_string(), schema, kind, client];
        let mut program = Program::start(&own("look.py"), queue, &arguments).await;
        let mut seen = Vec::new();
        for _ in 0..count {
            let line = program.line().await.expect("as many as there are");
            let mut line: Value = serde_json::from_str(&line).expect("JSON");
            let faults = serde_json::from_value(line["faults"].take()).expect("texts");
            seen.push((line["message"].take(), faults));
        }
        assert!(program.end().await.success());
        seen
    }

    /// A worker that takes its jobs from this queue.
    pub(crate) fn worker(&self) -> WorkerBuilder {
        Worker::builder(&self.rabbit)
            .name("interop")
            .route::<SendWelcome>(self.queue.clone())
    }

    pub(crate) async fn wait_until_empty(&self) {
        let queue = self.queue.name();
        let is_empty = async || taker::depth(&self.rabbit, queue).await == 0;
        eventually(format!("{queue} is empty"), is_empty).await;
    }

    pub(crate) async fn dead_letter_count(&self) -> u32 {
        taker::depth(&self.rabbit, &self.dead()).await
    }
}

fn own(program: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(program)
}

/// A program in Python, and the lines that it prints.
pub(crate) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    async fn start(program: &Path, queue: &str, arguments: &[&str]) -> Self {
        let python = python::find().unwrap_or_else(|missing| panic!("{missing}"));
        let mut child = Command::new(python)
            .arg(program)
            .args(arguments)
            .env("AMQP_URL", shared().await.amqp_url())
            .env("QUEUE", queue)
            .env("PYTHONIOENCODING", "utf-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python runs");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// The next line; `None` at its end.
    pub(crate) async fn line(&mut self) -> Option<String> {
        soon("a line of the program", self.lines.next_line())
            .await
            .expect("text")
    }

    /// What follows `begin` in each of the next lines, all of which begin so.
    pub(crate) async fn lines(&mut self, begin: &str, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < count {
            let line = self.line().await.expect("the program goes on");
            lines.push(line.strip_prefix(begin).expect(&line).to_owned());
        }
        lines
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(mut self) -> ExitStatus {
        soon("the end of the program", self.child.wait()).await.expect("waited")
    }

    /// Kills it (SIGKILL); what it has printed before can be read still.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }
}

/// A worker that runs.
pub(crate) struct Running {
    handle: WorkerHandle,
    task: JoinHandle<Result<ExitReport, RunError>>,
}

impl Running {
    pub(crate) async fn start(builder: WorkerBuilder) -> Self {
        let worker = builder.build().expect("it is well put together");
        let handle = worker.handle();
        let task = tokio::spawn(worker.run_until(std::future::pending::<()>()));
        assert!(soon("a worker that consumes", handle.ready()).await);
        Self { handle, task }
    }

    pub(crate) async fn stop(self) -> ExitReport {
        self.handle.shutdown();
        soon("the end of the worker", self.task)
            .await
            .expect("no panic")
            .expect("it could run")
    }
}
