//! A session: one connection from its handshake to its end.

use leveret::broker::{BrokerErrorKind, Health};
use leveret_tests::signal::{eventually, soon};

use crate::fixture::{Fixture, unique};
use crate::steps::{connect, declare, deliveries, event, fill, ids, is_ready, lost, quorum, with_queue};

pub(crate) async fn a_session_is_open_until_it_is_closed_from_this_side(fixture: &dyn Fixture) {
    // Given a session
    let session = connect(fixture).await;
    let mut health = session.health();
    assert_eq!(*health.borrow_and_update(), Health::Open);

    // When it is closed
    session.close().await;

    // Then its health says so, to early and late listeners, and who did it
    let closed = soon("the end", health.wait_for(|health| *health != Health::Open))
        .await
        .unwrap()
        .clone();
    let Health::Closed(error) = &closed else {
        panic!("{closed:?}")
    };
    assert_eq!(error.kind(), BrokerErrorKind::Closed, "{error}");
    assert_eq!(*session.health().borrow(), closed);
}

pub(crate) async fn closing_a_session_ends_its_channels(fixture: &dyn Fixture) {
    // Given a consumer and a publisher
    let (session, queue) = with_queue(fixture).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let mut publisher = session.publisher().await.unwrap();

    // When their session is closed, then both hear of it
    session.close().await;
    lost(&mut *consumer).await;
    crate::publishing::lost(&mut *publisher).await;
}

pub(crate) async fn nothing_can_be_asked_of_a_closed_session(fixture: &dyn Fixture) {
    // Given a closed session
    let (session, queue) = with_queue(fixture).await;
    session.close().await;

    // When something is asked of it, then each time it says so, and closing it again does no harm
    assert!(
        session
            .declare(&[quorum(&queue, [])])
            .await
            .is_err_and(|(index, _)| index == 0)
    );
    assert!(session.inspect(&queue).await.is_err());
    assert!(session.inspect_exchange("amq.direct").await.is_err());
    assert!(session.publisher().await.is_err());
    assert!(session.consume(&queue, 5).await.is_err());
    session.close().await;
}

pub(crate) async fn a_connection_lives_as_long_as_a_consumer_uses_it(fixture: &dyn Fixture) {
    // Given a consumer whose session is forgotten
    let (session, queue) = with_queue(fixture).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let health = session.health();
    drop(session);

    // When a message comes
    fill(&*connect(fixture).await, &queue, ["one"]).await;

    // Then it is delivered; and once the consumer is gone, the connection is as well
    assert_eq!(ids(&deliveries(&mut *consumer, 1).await), ["one"]);
    drop(consumer);
    eventually("the connection is closed", async || {
        matches!(*health.borrow(), Health::Closed(_))
    })
    .await;
    is_ready(&*connect(fixture).await, &queue, 1).await;
}

pub(crate) async fn a_queue_is_inspected_with_its_ready_messages_and_consumers(fixture: &dyn Fixture) {
    // Given five messages and two consumers that hold one each
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b", "c", "d", "e"]).await;
    assert_eq!(session.inspect(&queue).await.unwrap().ready, 5);
    let mut first = session.consume(&queue, 1).await.unwrap();
    let mut second = session.consume(&queue, 1).await.unwrap();
    let _held = (event(&mut *first).await, event(&mut *second).await);

    // When the queue is inspected, then the held ones are not among the ready
    is_ready(&*session, &queue, 3).await;
    assert_eq!(session.inspect(&queue).await.unwrap().consumers, 2);
}

pub(crate) async fn inspecting_what_is_missing_is_not_found_and_the_session_lives_on(fixture: &dyn Fixture) {
    // Given a session
    let session = connect(fixture).await;
    let missing = unique("missing");

    // When something is inspected that is not there
    let queue = session.inspect(&missing).await.unwrap_err();
    let exchange = session.inspect_exchange(&missing).await.unwrap_err();

    // Then it is not found, by name, and the session works
    for error in [queue, exchange] {
        assert_eq!(error.kind(), BrokerErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains(&missing), "{error}");
    }
    declare(&*session, [quorum(&missing, [])]).await;
    session.inspect(&missing).await.unwrap();
    session.inspect_exchange("amq.topic").await.unwrap();
    assert_eq!(*session.health().borrow(), Health::Open);
}

pub(crate) async fn a_lock_belongs_to_one_connection_until_that_ends(fixture: &dyn Fixture) {
    // Given a connection that has taken a name, and may take it again
    let (name, lock) = (unique("locking"), unique("lock"));
    let holder = fixture.broker().connect(&name).await.unwrap();
    assert!(holder.lock(&lock).await.unwrap());
    assert!(holder.lock(&lock).await.unwrap());

    // When another asks for it, then it is refused, may have another name, and lives on
    let other = connect(fixture).await;
    assert!(!other.lock(&lock).await.unwrap());
    assert!(other.lock(&unique("lock")).await.unwrap());
    assert_eq!(*other.health().borrow(), Health::Open);

    // And when the connection is cut, and the next one is closed, the name is free each time
    fixture.cut(&name).await;
    eventually("a lock that is free", async || other.lock(&lock).await.unwrap()).await;
    other.close().await;
    let next = connect(fixture).await;
    eventually("a lock that is free again", async || next.lock(&lock).await.unwrap()).await;
}
