//! Few arguments, and policies for the rest.

use std::process::Command;

use leveret::topology::Topology;
use leveret::{DeadLetter, TopologyMode};
use leveret_tests::signal::eventually;
use leveret_tests::{shared, taker};

use super::*;

/// Not the one of the other tests of this node: what minimal programs share, such as the queue of lost messages, has fewer
/// arguments too.
const PREFIX: &str = "minimal";

async fn connect_minimal(node: &Node) -> Rabbit {
    let options: ConnectOptions = node.amqp_url().parse().expect("a good URL");
    let options = options
        .topology(TopologyMode::Minimal)
        .prefix(PREFIX)
        .expect("a good prefix");
    Rabbit::connect(options).await.expect("the node answers")
}

/// Takes a command apart as a shell does, and runs it against the node.
async fn run_as_an_operator_would(node: &Node, command: &str) {
    let script = format!("rabbitmqctl() {{ printf '%s\\0' \"$@\"; }}\n{command}");
    let shell = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let words = String::from_utf8(shell.stdout).expect("UTF-8");
    let arguments: Vec<&str> = words.trim_end_matches('\0').split('\0').collect();
    node.ctl(&arguments)
        .await
        .unwrap_or_else(|error| panic!("{command}: {error}"));
}

/// The name of the policy in force on a queue.
async fn policy_of(node: &Node, queue: &str) -> String {
    let listed = node
        .ctl(&["-q", "list_queues", "name", "policy", "--no-table-headers"])
        .await
        .expect("a list");
    let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
    let (_, policy) = lines.find(|(name, _)| *name == queue).unwrap_or_default();
    policy.to_owned()
}

#[tokio::test]
async fn with_the_policies_that_it_prints_a_minimal_queue_keeps_every_promise() {
    // Given a queue with few arguments, whose policies an operator has set
    let node = shared().await;
    let queue = own_queue("o'minimal").dead_letter(DeadLetter::Nack);
    let rabbit = connect_minimal(node).await;
    rabbit.declare(&queue).await.expect("declared");
    assert_eq!(policy_of(node, queue.name()).await, "");
    for policy in Topology::new(PREFIX).policies(&queue) {
        run_as_an_operator_would(node, &policy.command("/")).await;
    }
    let policy = format!("leveret queues {}", queue.name());
    eventually("the policy is in force", async || {
        policy_of(node, queue.name()).await == policy
    })
    .await;

    // When jobs go through it, one of which is left to the broker as a dead letter
    let report = round_trip(&rabbit, &queue).await;

    // Then nothing is lost
    let report = report.queue(queue.name()).expect("its queue");
    assert_eq!(
        (report.completed, report.retried, report.dead_lettered),
        (2, 1, 1),
        "{report:?}"
    );
    let dead = taker::take(&rabbit, &format!("{}.dead", queue.name()), 1).await;
    assert_eq!(&dead[0].body[..], br#"{"number":2}"#);
}

#[tokio::test]
async fn a_minimal_program_agrees_with_a_queue_that_has_no_arguments_but_its_type() {
    // Given a queue as an operator makes it
    let node = shared().await;
    let queue = own_queue("by-hand");
    let rabbit = connect_minimal(node).await;
    rabbit.declare(&queue).await.expect("declared");

    // When a program that declares everything uses it, then it is refused; a minimal one agrees
    let full = connect(node, "", TopologyMode::Declare).await;
    let text = refused_start(&full, &queue).await.to_string();
    assert!(text.contains("was wanted"), "{text}");
    assert_eq!(
        round_trip(&rabbit, &queue).await.queue(queue.name()).unwrap().completed,
        2
    );
}
