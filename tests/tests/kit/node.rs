//! Private nodes: they keep what they must keep, and leave nothing behind.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use leveret_tests::signal::eventually;
use leveret_tests::{Node, logs, shared};

/// Set for the process that a test starts from its own binary, in order to kill it.
const VICTIM: &str = "LEVERET_KIT_VICTIM";

async fn connect(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

pub(crate) async fn declare_quorum(channel: &Channel, queue: &str) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel.queue_declare(queue.into(), options, arguments).await.unwrap();
}

async fn publish(channel: &Channel, queue: &str, body: &[u8]) -> Confirmation {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let published = channel.basic_publish(
        "".into(),
        queue.into(),
        BasicPublishOptions::default(),
        body,
        properties,
    );
    published.await.unwrap().await.unwrap()
}

async fn get(channel: &Channel, queue: &str) -> Option<Vec<u8>> {
    let message = channel
        .basic_get(queue.into(), BasicGetOptions { no_ack: true })
        .await
        .unwrap();
    message.map(|message| message.delivery.data)
}

/// A process that has ended and was not reaped yet does not run.
fn is_running(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_command, rest) = stat.rsplit_once(") ")?;
    rest.chars().next()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_comes_back_with_its_durable_queue_on_the_same_port() {
    logs::init();
    // Given a confirmed message in a quorum queue
    let node = Node::start().await;
    let url = node.amqp_url();
    let (_connection, channel) = connect(&url).await;
    declare_quorum(&channel, "kept").await;
    assert_eq!(publish(&channel, "kept", b"hare").await, Confirmation::Ack(None));
    let killed = node.pid().unwrap();

    // When the node is killed and started again
    node.kill().await;
    assert!(node.pid().is_none());
    assert!(!is_running(killed));
    node.start_again().await;

    // Then it is another process with the same address and the same message
    assert_ne!(node.pid(), Some(killed));
    let (_connection, channel) = connect(&url).await;
    assert_eq!(get(&channel, "kept").await.as_deref(), Some(&b"hare"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_tells_its_clients_and_comes_back() {
    // Given a connected client
    let node = Node::start().await;
    let (connection, channel) = connect(&node.amqp_url()).await;
    declare_quorum(&channel, "kept").await;

    // When the node restarts
    node.restart().await;

    // Then the connection is over, and the queue is there for a new one
    eventually("the connection is over", async || !connection.status().connected()).await;
    assert_eq!(node.depth("kept").await.unwrap().messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_answers_only_once_it_is_resumed() {
    // Given a frozen node and a publish to it
    let node = Node::start().await;
    let (_connection, channel) = connect(&node.amqp_url()).await;
    declare_quorum(&channel, "frozen").await;
    node.pause();
    let confirm = tokio::spawn(async move { publish(&channel, "frozen", b"hare").await });
    assert_eq!(state(node.pid().unwrap()), Some('T'));
    assert!(!confirm.is_finished());

    // When it is resumed
    node.resume();

    // Then the publish is confirmed
    assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_tells_its_depths_and_connections_and_closes_them() {
    // Given a named connection and two messages on the shared node
    let node = Node::start().await;
    let properties = ConnectionProperties::default().with_connection_name("a hare".into());
    let connection = Connection::connect(&node.amqp_url(), properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    declare_quorum(&channel, "two").await;
    publish(&channel, "two", b"one").await;
    publish(&channel, "two", b"two").await;

    // When the broker is asked, then it knows both
    assert_eq!(node.connections().await, ["a hare"]);
    eventually("two messages are ready", async || {
        node.depth("two").await.unwrap().ready == 2
    })
    .await;

    // When an administrator closes all connections, then this one is over
    node.close_all_connections().await;
    eventually("the connection is over", async || !connection.status().connected()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmqctl_that_fails_says_why() {
    // Given a node
    let node = shared().await;

    // When it is asked for something that is not there
    let failed = node.ctl(&["delete_queue", "burrow"]).await.unwrap_err();

    // Then the error has the broker's words
    assert!(failed.to_string().contains("burrow"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_at_once_do_not_meet() {
    // Given a queue on one node
    let (one, other) = tokio::join!(Node::start(), Node::start());
    let (_connection, channel) = connect(&one.amqp_url()).await;
    declare_quorum(&channel, "mine").await;

    // When the other one is asked, then it has no queue
    assert_ne!(one.port(), other.port());
    assert_eq!(other.queues().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_node_outlives_a_killed_test_process() {
    if env::var_os(VICTIM).is_some() {
        return be_the_victim().await;
    }
    // Given a process with a shared node, and a node that is frozen
    let mut victim = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "node::nothing_of_a_node_outlives_a_killed_test_process",
            "--nocapture",
        ])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = std::io::BufReader::new(victim.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(said).map(Result::unwrap);
    let pids = lines
        .find_map(|line| line.strip_prefix("victim ").map(str::to_owned))
        .expect("the victim started");
    let pids: Vec<u32> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().copied().all(is_running));

    // When the process is killed
    victim.kill().unwrap();
    let directories = format!("leveret-node-{}-", victim.id());
    victim.wait().unwrap();

    // Then its brokers, their port mappers and their data are gone
    eventually("the brokers are gone", async || !pids.iter().copied().any(is_running)).await;
    eventually("the directories are gone", async || !in_temp_dir(&directories)).await;
    eventually("what they had started is gone", async || !in_process_list(&directories)).await;
}

async fn be_the_victim() {
    let frozen = Node::start().await;
    frozen.pause();
    println!("\nvictim {} {}", frozen.pid().unwrap(), shared().await.pid().unwrap());
    std::future::pending().await
}

fn in_temp_dir(prefix: &str) -> bool {
    let entries = env::temp_dir().read_dir().unwrap().map(Result::unwrap);
    entries
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}

/// Every process of a node, and everything that those started, has its directory in the environment.
fn in_process_list(prefix: &str) -> bool {
    let processes = Path::new("/proc").read_dir().unwrap().map(Result::unwrap);
    processes
        .filter_map(|process| std::fs::read(process.path().join("environ")).ok())
        .any(|environment| String::from_utf8_lossy(&environment).contains(prefix))
}
