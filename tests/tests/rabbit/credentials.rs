//! Logins that change while programs run.

use std::sync::Mutex;

use leveret::connect::Credentials;
use leveret::runtime::{Link, LinkState};
use leveret::{Job, Rabbit};
use leveret_tests::Node;
use leveret_tests::secret::PASSWORD;
use leveret_tests::signal::Counter;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "credentials")]
struct Note;

/// A node with a user `app` whose password is `first`.
async fn node() -> Node {
    let node = Node::start().await;
    node.ctl(&["add_user", "app", "first"]).await.expect("added");
    node.ctl(&["set_permissions", "app", ".*", ".*", ".*"])
        .await
        .expect("permitted");
    node
}

async fn change_password(node: &Node, password: &str) {
    node.ctl(&["change_password", "app", password]).await.expect("changed");
}

/// The reason why a link is down, once it is a reason that `holds`.
async fn down(link: &Link, holds: impl Fn(&str) -> bool) -> String {
    let mut state = link.state();
    let reason = |state: &LinkState| match state {
        LinkState::Down { last_error, .. } => last_error.as_ref().map(ToString::to_string),
        _ => None,
    };
    let down = state.wait_for(|state| reason(state).is_some_and(|text| holds(&text)));
    let state = soon("the reason of an outage", down).await.expect("the link lives");
    reason(&state).expect("it was waited for")
}

async fn enqueue(rabbit: &Rabbit) {
    let enqueued = rabbit.producer().enqueue(Note);
    soon("a confirm", enqueued.into_future()).await.expect("stored");
}

#[tokio::test]
async fn a_provider_is_asked_anew_for_each_connection() {
    // Given a connection by a password from a provider
    let node = node().await;
    let password = Arc::new(Mutex::new("first"));
    let asked = Counter::new("questions to the provider");
    let options = options(&node.amqp_url()).credentials_provider({
        let (password, asked) = (Arc::clone(&password), asked.clone());
        move || {
            asked.add();
            let credentials = Credentials::new("app", *password.lock().expect("no panic"));
            async { Ok(credentials) }
        }
    });
    let rabbit = Rabbit::connect(options).await.expect("let in");
    enqueue(&rabbit).await;

    // When the password is changed, and every connection is lost
    change_password(&node, "second").await;
    *password.lock().expect("no panic") = "second";
    let before = asked.count();
    node.close_all_connections().await;

    // Then work goes on by the new one
    asked.wait_for(before + 1).await;
    enqueue(&rabbit).await;
    rabbit.close().await;
}

#[tokio::test]
async fn a_password_that_is_changed_under_a_connection_is_the_reason_for_its_outage_until_it_is_right_again() {
    // Given a connection by a password
    let node = node().await;
    let options = options(&node.amqp_url()).credentials("app", "first");
    let rabbit = Rabbit::connect(options.clone()).await.expect("let in");

    // When that is changed, and the connection is lost
    change_password(&node, "second").await;
    node.close_all_connections().await;

    // Then the outage has that reason, for who waits as for who comes anew
    let text = down(&rabbit.publishing(), |text| text.contains("user `app`")).await;
    assert!(text.contains("ACCESS_REFUSED") && !text.contains("first"), "{text}");
    let error = soon("a refusal", Rabbit::connect(options)).await.expect_err("refused");
    assert!(
        error.is_refused() && error.to_string().contains("check user name and password"),
        "{error}"
    );

    // And it ends by itself once the password is right
    change_password(&node, "first").await;
    enqueue(&rabbit).await;
    rabbit.close().await;
}

/// What a provider does when it is asked.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Fails,
    Panics,
    StaysSilent,
    Answers,
}

async fn answer_in(mood: Mood) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>> {
    match mood {
        Mood::Fails => Err("the vault is sealed".into()),
        Mood::Panics => panic!("as the test wants it"),
        Mood::StaysSilent => std::future::pending().await,
        Mood::Answers => Ok(Credentials::new("guest", PASSWORD)),
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_the_reason_for_an_outage_and_is_asked_again() {
    // Given a provider that fails
    let mood = Arc::new(Mutex::new(Mood::Fails));
    let ask = {
        let mood = Arc::clone(&mood);
        move || answer_in(*mood.lock().expect("no panic here"))
    };
    let node = leveret_tests::shared().await;
    let options = options(&node.amqp_url()).connect_deadline(SHORT);
    let rabbit = Rabbit::start(options.credentials_provider(ask)).expect("started");

    // When it fails in one way after another
    for (next, part) in [
        (Mood::Fails, "the vault is sealed"),
        (Mood::Panics, "it panicked"),
        (Mood::StaysSilent, "no answer within 300ms"),
    ] {
        *mood.lock().expect("no panic here") = next;

        // Then the outage has that reason
        let text = down(&rabbit.publishing(), |text| text.contains(part)).await;
        assert!(text.contains("the credentials provider failed"), "{text}");
    }

    // And it ends as soon as there is an answer
    *mood.lock().expect("no panic here") = Mood::Answers;
    let mut state = rabbit.publishing().state();
    let up = state.wait_for(LinkState::is_up);
    soon("a connection", up).await.expect("the link lives");
    rabbit.close().await;
}
