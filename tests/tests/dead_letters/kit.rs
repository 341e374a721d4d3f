//! A queue of each test's own with letters in it, and inspectors that are processes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use leveret::broker::Destination;
use leveret::runtime::{Publish, Target};
use leveret::{ConnectOptions, DeadLetters, JobId, Message, Queue, Rabbit};
use leveret_tests::signal::eventually;
use leveret_tests::{Node, shared, taker};

/// A queue that no other test uses, on the node that all share.
pub(crate) struct Bench {
    pub(crate) node: &'static Node,
    pub(crate) rabbit: Rabbit,
    pub(crate) queue: Queue,
}

impl Bench {
    pub(crate) async fn new(name: &str) -> Self {
        let queue = Queue::named(format!("{name}-{}", JobId::random())).expect("short enough");
        Self::of(queue).await
    }

    pub(crate) async fn of(queue: Queue) -> Self {
        let node = shared().await;
        let rabbit = connect(node).await;
        rabbit.declare(&queue).await.unwrap();
        Self { node, rabbit, queue }
    }

    pub(crate) fn letters(&self) -> DeadLetters {
        DeadLetters::of(&self.rabbit, &self.queue)
    }

    pub(crate) fn dead(&self) -> String {
        self.letters().queue_name().to_owned()
    }

    /// Puts so many letters into the dead-letter queue, named by their numbers.
    pub(crate) async fn fill(&self, count: usize) -> Vec<String> {
        let lane = self.rabbit.enqueues();
        let mut publishing = Vec::new();
        for number in 0..count {
            let publish = Publish {
                target: Target {
                    destination: Destination::queue(self.dead()).into(),
                    declarations: std::sync::Arc::from([]),
                },
                message: letter(number),
                timeout: std::time::Duration::from_secs(30),
            };
            publishing.push(lane.publish(publish).await);
        }
        for one in publishing {
            one.await.unwrap();
        }
        (0..count).map(|number| number.to_string()).collect()
    }

    /// Waits until so many are ready in a queue and nobody consumes it.
    pub(crate) async fn is_at_rest(&self, queue: &str, ready: u32) {
        let session = taker::session(&self.rabbit).await;
        let what = format!("{queue} has {ready} ready and no consumer");
        eventually(what, async || {
            let depth = session.inspect(queue).await.unwrap();
            (depth.ready, depth.consumers) == (ready, 0)
        })
        .await;
    }

    /// Waits until nobody consumes a queue.
    pub(crate) async fn is_let_go(&self, queue: &str) {
        let session = taker::session(&self.rabbit).await;
        eventually(format!("{queue} has no consumer"), async || {
            session.inspect(queue).await.unwrap().consumers == 0
        })
        .await;
    }

    /// Takes everything out of a queue, in order.
    pub(crate) async fn take_ids(&self, queue: &str) -> Vec<String> {
        let taken = taker::take_all(&self.rabbit, queue).await;
        taken.iter().map(|message| id(message).to_owned()).collect()
    }

    /// An inspector of this queue in a process of its own.
    pub(crate) fn inspector(&self, order: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_inspector"))
            .env("AMQP_URL", self.node.amqp_url())
            .arg(self.queue.name())
            .args(order)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it is built")
    }

    /// Kills an inspector (SIGKILL) at the moment at which it holds the letters.
    pub(crate) async fn kill_one_that_holds(&self) {
        let mut inspector = self.inspector(&["hold"]);
        let output = inspector.stdout.take().expect("piped");
        let line = tokio::task::spawn_blocking(|| BufReader::new(output).lines().next());
        let line = line.await.expect("no panic").expect("it says something").unwrap();
        assert_eq!(line, "held");
        inspector.kill().unwrap();
        inspector.wait().unwrap();
    }
}

pub(crate) async fn connect(node: &Node) -> Rabbit {
    let options: ConnectOptions = node.amqp_url().parse().expect("a good URL");
    Rabbit::connect(options).await.expect("the node answers")
}

pub(crate) fn letter(number: usize) -> Message {
    let mut message = Message {
        body: format!(r#"{{"number":{number}}}"#).into(),
        ..Message::default()
    };
    let properties = &mut message.properties;
    properties.message_id = Some(number.to_string().into());
    properties.kind = Some("note".into());
    let headers = &mut properties.headers;
    headers.insert("leveret-failure-reason".to_owned(), "failed".into());
    headers.insert(
        "leveret-failure-error".to_owned(),
        format!("no. {number} failed").into(),
    );
    message
}

pub(crate) fn id(message: &Message) -> &str {
    message.properties.message_id.as_deref().unwrap_or_default()
}
