//! Users that may not declare, and operators that set policies.

use std::process::Command;
use std::time::Duration;

use leveret::topology::Topology;
use leveret::{ConnectOptions, Fate, JobId, Queue, Rabbit, TopologyMode, Why};
use leveret_tests::secret::PASSWORD;
use leveret_tests::{Node, shared};

use crate::kit::*;

const SOON: Duration = Duration::from_millis(300);

async fn connect_as(user: &str, prefix: &str, mode: TopologyMode) -> Rabbit {
    let node = shared().await;
    let password = if user == "guest" { PASSWORD } else { user };
    let url = format!("amqp://{user}:{password}@{}", node.address());
    let options: ConnectOptions = url.parse().expect("a good URL");
    let options = options.topology(mode).prefix(prefix).expect("a good prefix");
    Rabbit::connect(options).await.expect("let in")
}

/// A user who may configure nothing.
async fn user_without_rights(node: &Node) -> String {
    let user = format!("user-{}", JobId::random());
    for arguments in [
        &["add_user", &user, &user][..],
        &["set_permissions", "-p", "/", &user, "^$", ".*", ".*"],
    ] {
        node.ctl(arguments).await.expect("done");
    }
    user
}

async fn arrives(rabbit: &Rabbit, queue: &Queue) {
    let book = Book::new();
    let running = Running::start(rabbit, queue, &book).await;
    enqueue(rabbit, queue, (0..20).map(|number| (number, SOON))).await;
    book.notes.wait_for(20).await;
    assert!(running.stop().await.is_clean());
    assert_eq!(book.reckon(0..20).repeated, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_declared_a_delayed_job_is_taken_only_if_its_queue_is_there() {
    // Given a user who may declare nothing, and a queue that is there with its ladder, and one that is not
    let node = shared().await;
    let (there, absent) = (own_queue("none"), own_queue("absent"));
    let owner = connect_as("guest", "none", TopologyMode::Declare).await;
    owner.declare_with_delays(&there).await.expect("declared");
    let user = user_without_rights(node).await;

    for mode in [TopologyMode::None, TopologyMode::Verify] {
        let rabbit = connect_as(&user, "none", mode).await;
        // When jobs are delayed, then those of the one arrive
        arrives(&rabbit, &there).await;

        // And those of the other are refused, where the broker lets the user ask for it
        let delayed = rabbit
            .producer()
            .enqueue(Note { number: 0 })
            .queue(&absent)
            .delay(SOON)
            .await;
        match delayed {
            Err(error) => {
                assert!(matches!(error.fate(), Fate::Refused(Why::Undeclared(_))), "{error}");
                assert!(error.to_string().contains("does not exist"), "{error}");
            }
            Ok(_) => assert!(node.version().await.lets_only_configurers_look(), "{mode:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_policies_that_it_prints_a_minimal_ladder_delivers() {
    // Given a queue and a ladder with few arguments, whose policies an operator has set
    let queue = own_queue("minimal");
    let rabbit = connect_as("guest", "minimal-delays", TopologyMode::Minimal).await;
    rabbit.declare_with_delays(&queue).await.expect("declared");
    let topology = Topology::new("minimal-delays");
    let policies = topology.policies(&queue).into_iter().chain(topology.delay_policies());
    let commands: Vec<String> = policies.map(|policy| policy.command("/")).collect();
    set_as_an_operator_would(&commands).await;

    // When jobs are delayed, then they arrive
    arrives(&rabbit, &queue).await;
}

/// Takes the commands apart as a shell does, and has the node evaluate them at one go: a hundred programs would take a minute.
async fn set_as_an_operator_would(commands: &[String]) {
    let script = format!(
        "rabbitmqctl() {{ printf '%s\\0' \"$@\" END; }}\n{}",
        commands.join("\n")
    );
    let shell = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let words = String::from_utf8(shell.stdout).expect("UTF-8");
    let mut calls = Vec::new();
    for command in words.split("END\0").filter(|command| !command.is_empty()) {
        let words: Vec<&str> = command.trim_end_matches('\0').split('\0').collect();
        let [
            "set_policy",
            "--vhost",
            vhost,
            "--priority",
            priority,
            "--apply-to",
            kind,
            name,
            pattern,
            json,
        ] = words[..]
        else {
            panic!("{words:?}")
        };
        let quoted = |text: &str| format!("<<{text:?}>>");
        calls.push(format!(
            "ok = rabbit_policy:parse_set({}, {}, {}, {}, {priority:?}, {}, <<\"tests\">>)",
            quoted(vhost),
            quoted(name),
            quoted(pattern),
            quoted(json),
            quoted(kind)
        ));
    }
    let program = format!("{}.", calls.join(", "));
    let evaluated = shared().await.ctl(&["eval", &program]).await;
    let _ = evaluated.expect("set");
}
