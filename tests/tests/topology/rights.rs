//! Users that may not declare.

use leveret::{Fate, TopologyMode, Why};
use leveret_tests::shared;

use super::*;

/// Nothing may be configured.
const NOTHING: &str = "^$";

#[tokio::test]
async fn a_user_who_may_only_read_and_write_produces_and_works_where_nothing_is_declared() {
    // Given a queue that somebody else has made, and a user who may make none
    let node = shared().await;
    let queue = own_queue("none");
    connect(node, "", TopologyMode::Declare)
        .await
        .declare(&queue)
        .await
        .expect("declared");
    let user = add_user(node, NOTHING).await;

    // When that user's programs run with the mode `none`
    let rabbit = connect(node, &user, TopologyMode::None).await;
    let report = round_trip(&rabbit, &queue).await;

    // Then a job is done, one is retried, and one is a dead letter
    let report = report.queue(queue.name()).expect("its queue");
    assert_eq!(
        (report.completed, report.retried, report.dead_lettered),
        (2, 1, 1),
        "{report:?}"
    );
}

#[tokio::test]
async fn the_rights_that_the_readme_names_are_enough() {
    // Given a user with these rights, for another queue
    let node = shared().await;
    let queue = own_queue("readme");
    let readme = include_str!("../../../README.md");
    let command = readme.lines().find(|line| line.contains("set_permissions -p / shop"));
    let rights = command.expect("the command").split('\'').skip(1).step_by(2);
    let rights: Vec<String> = rights.map(|right| right.replace("mail", queue.name())).collect();
    let user = add_user(node, NOTHING).await;
    let set = ["set_permissions", &user, &rights[0], &rights[1], &rights[2]];
    node.ctl(&set).await.expect("rights");

    // When that user's programs declare, delay, run, retry and make dead letters
    let rabbit = connect(node, &user, TopologyMode::Declare).await;
    let report = round_trip(&rabbit, &queue).await;
    let later = rabbit.producer().enqueue(Note { number: 0 }).queue(&queue);
    let later = later.delay(std::time::Duration::from_millis(100)).await;

    // Then nothing is missing
    let report = report.queue(queue.name()).expect("its queue");
    assert_eq!((report.completed, report.dead_lettered), (2, 1), "{report:?}");
    assert!(later.is_ok(), "{later:?}");
}

#[tokio::test]
async fn what_a_user_may_not_see_is_unverified_and_no_obstacle() {
    // Given the same
    let node = shared().await;
    let queue = own_queue("verify");
    let owner = connect(node, "", TopologyMode::Declare).await;
    owner.declare(&queue).await.expect("declared");
    let user = add_user(node, NOTHING).await;

    // When the programs verify
    let rabbit = connect(node, &user, TopologyMode::Verify).await;
    let report = round_trip(&rabbit, &queue).await;

    // Then they work all the same
    assert_eq!(report.queue(queue.name()).expect("its queue").completed, 2);
}

#[tokio::test]
async fn without_the_right_to_declare_the_error_names_the_queue_and_what_to_do() {
    // Given a user who may make no queue, and a queue that nobody has made
    let node = shared().await;
    let queue = own_queue("forbidden");
    let rabbit = connect(node, &add_user(node, NOTHING).await, TopologyMode::Declare).await;

    // When programs that declare use it
    let refused = rabbit.producer().enqueue(Note { number: 0 }).queue(&queue).await;
    let not_started = refused_start(&rabbit, &queue).await;

    // Then both end at once, and say why
    let refused = refused.expect_err("nobody made the queue");
    assert!(
        matches!(refused.fate(), Fate::Refused(Why::Undeclared(_))),
        "{refused:?}"
    );
    for text in [refused.to_string(), not_started.to_string()] {
        for part in [
            "may not be declared by this user",
            "grant `configure`",
            "topology mode `none`",
        ] {
            assert!(text.contains(part), "{part:?} in {text:?}");
        }
    }
}

#[tokio::test]
async fn verifying_what_is_not_there_says_so_and_creates_nothing() {
    // Given
    let node = shared().await;
    let queue = own_queue("absent");
    let rabbit = connect(node, "", TopologyMode::Verify).await;

    // When
    let text = refused_start(&rabbit, &queue).await.to_string();

    // Then
    assert!(text.contains("does not exist") && text.contains("`verify`"), "{text}");
    assert!(node.depth(queue.name()).await.is_none());
}
