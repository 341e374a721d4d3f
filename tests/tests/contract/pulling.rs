//! Pulling: taking messages one at a time, when asked.

use leveret::broker::Settlement::{Ack, DeadLetter, Requeue};
use leveret::broker::{Argument, BrokerErrorKind, Delivery, Puller, Settlement};
use leveret_tests::signal::soon;

use crate::fixture::{Fixture, unique};
use crate::steps::{
    binding, connect, count, declare, delivery, exchange, fill, holds, id, is_ready, quorum, text, with_queue,
};

async fn pull(puller: &mut dyn Puller) -> Option<Delivery> {
    soon("an answer to a pull", puller.pull()).await.unwrap()
}

async fn pull_one(puller: &mut dyn Puller) -> Delivery {
    pull(puller).await.expect("the queue is not empty")
}

async fn settle(puller: &mut dyn Puller, delivery: Delivery, settlement: Settlement) {
    puller.settle(delivery.lease, settlement).expect("its own lease");
    soon("the settlement", puller.flush()).await.unwrap();
}

pub(crate) async fn an_empty_queue_gives_nothing(fixture: &dyn Fixture) {
    let (session, queue) = with_queue(fixture).await;
    let mut puller = session.puller(&queue).await.unwrap();
    assert!(pull(&mut *puller).await.is_none());

    fill(&*session, &queue, ["one"]).await;

    assert_eq!(id(&pull_one(&mut *puller).await.message), "one");
    assert!(pull(&mut *puller).await.is_none());
}

pub(crate) async fn messages_are_pulled_in_order_and_gone_once_acked(fixture: &dyn Fixture) {
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b", "c"]).await;
    let mut puller = session.puller(&queue).await.unwrap();

    for expected in ["a", "b", "c"] {
        let delivery = pull_one(&mut *puller).await;
        assert_eq!((id(&delivery.message), delivery.redelivered), (expected, false));
        settle(&mut *puller, delivery, Ack).await;
    }

    holds(fixture, &queue, 0, 0).await;
}

pub(crate) async fn nothing_comes_that_was_not_asked_for(fixture: &dyn Fixture) {
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b", "c"]).await;
    let mut puller = session.puller(&queue).await.unwrap();

    let first = pull_one(&mut *puller).await;
    holds(fixture, &queue, 2, 1).await;
    let second = pull_one(&mut *puller).await;
    holds(fixture, &queue, 1, 2).await;

    // In any order, and the other way round
    settle(&mut *puller, second, Ack).await;
    settle(&mut *puller, first, Ack).await;
    holds(fixture, &queue, 1, 0).await;
}

pub(crate) async fn a_requeued_pull_comes_again_marked_and_counted(fixture: &dyn Fixture) {
    let session = connect(fixture).await;
    let queue = unique("queue");
    declare(&*session, [quorum(&queue, [("x-delivery-limit", Argument::Int(9))])]).await;
    fill(&*session, &queue, ["a", "b"]).await;
    let mut puller = session.puller(&queue).await.unwrap();

    let counts = fixture.version().await.counts_nacks();

    for round in 0..3 {
        let delivery = pull_one(&mut *puller).await;
        let counted = if counts { round } else { 0 };
        assert_eq!(
            (id(&delivery.message), delivery.redelivered, count(&delivery.message)),
            ("a", round > 0, counted)
        );
        settle(&mut *puller, delivery, Requeue).await;
    }
}

pub(crate) async fn a_rejected_pull_is_dead_lettered(fixture: &dyn Fixture) {
    let session = connect(fixture).await;
    let (queue, dead, graveyard) = (unique("queue"), unique("dead"), unique("graveyard"));
    declare(
        &*session,
        [
            exchange(&graveyard, leveret::broker::ExchangeKind::Fanout),
            quorum(&dead, []),
            binding(&graveyard, "", &dead),
            quorum(&queue, [("x-dead-letter-exchange", text(&graveyard))]),
        ],
    )
    .await;
    fill(&*session, &queue, ["one"]).await;
    let mut puller = session.puller(&queue).await.unwrap();

    let held = pull_one(&mut *puller).await;
    settle(&mut *puller, held, DeadLetter).await;

    is_ready(&*session, &dead, 1).await;
    holds(fixture, &queue, 0, 0).await;
}

pub(crate) async fn what_was_pulled_and_not_settled_comes_again(fixture: &dyn Fixture) {
    for in_order in [true, false] {
        // Given three pulled, one of them settled
        let (session, queue) = with_queue(fixture).await;
        fill(&*session, &queue, ["a", "b", "c"]).await;
        let mut puller = session.puller(&queue).await.unwrap();
        let first = pull_one(&mut *puller).await;
        let second = pull_one(&mut *puller).await;
        let third = pull_one(&mut *puller).await;
        settle(&mut *puller, second, Ack).await;

        // When the channel is closed, or only dropped
        match in_order {
            true => puller.close().await,
            false => drop(puller),
        }
        drop((first.lease, third.lease));

        // Then the other two come again; in any order, because to a quorum queue each pull is a consumer of its own
        is_ready(&*session, &queue, 2).await;
        let mut next = session.puller(&queue).await.unwrap();
        let again = [pull_one(&mut *next).await, pull_one(&mut *next).await];
        assert!(again.iter().all(|delivery| delivery.redelivered));
        let mut ids = again.each_ref().map(|delivery| id(&delivery.message));
        ids.sort_unstable();
        assert_eq!(ids, ["a", "c"]);
    }
}

pub(crate) async fn closing_a_puller_keeps_every_ack(fixture: &dyn Fixture) {
    // Given a queue that is emptied by many short-lived pullers
    let (session, queue) = with_queue(fixture).await;
    let (rounds, batch) = (10, 60);
    for round in 0..rounds {
        fill(&*session, &queue, (0..batch).map(|number| format!("{round}-{number}"))).await;
        let mut puller = session.puller(&queue).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..batch {
            held.push(pull_one(&mut *puller).await);
        }

        // When it closes right after it has settled all it held
        for delivery in held {
            puller.settle(delivery.lease, Ack).expect("its own lease");
        }
        puller.close().await;

        // Then none of them comes back
        holds(fixture, &queue, 0, 0).await;
    }
}

pub(crate) async fn a_lease_of_elsewhere_is_refused_by_a_puller(fixture: &dyn Fixture) {
    // Given a puller and a consumer, each with its first delivery
    let (session, queue) = with_queue(fixture).await;
    fill(&*session, &queue, ["a", "b"]).await;
    let mut puller = session.puller(&queue).await.unwrap();
    let pulled = pull_one(&mut *puller).await;
    let mut consumer = session.consume(&queue, 1).await.unwrap();
    let consumed = delivery(&mut *consumer).await;

    // When each is given the other's lease
    let consumed = puller.settle(consumed.lease, Ack).unwrap_err();
    let pulled = consumer.settle(pulled.lease, Ack).unwrap_err();
    puller.flush().await.unwrap();
    consumer.flush();

    // Then nothing was settled, and both leases are good where they belong
    holds(fixture, &queue, 0, 2).await;
    consumer.settle(consumed, Ack).unwrap();
    consumer.flush();
    puller.settle(pulled, Ack).unwrap();
    puller.flush().await.unwrap();
    holds(fixture, &queue, 0, 0).await;
}

pub(crate) async fn pulling_from_a_missing_queue_is_not_found_and_the_session_lives_on(fixture: &dyn Fixture) {
    let session = connect(fixture).await;
    let mut puller = session.puller(&unique("missing")).await.unwrap();

    let error = soon("an answer to a pull", puller.pull()).await.unwrap_err();

    assert_eq!(error.kind(), BrokerErrorKind::NotFound, "{error}");
    let queue = unique("queue");
    declare(&*session, [quorum(&queue, [])]).await;
    assert!(pull(&mut *session.puller(&queue).await.unwrap()).await.is_none());
}

pub(crate) async fn a_pull_on_a_lost_connection_fails_and_what_it_held_comes_again(fixture: &dyn Fixture) {
    // Given a puller that holds a message
    let name = unique("pulling");
    let session = fixture.broker().connect(&name).await.unwrap();
    let queue = unique("queue");
    declare(&*session, [quorum(&queue, [])]).await;
    fill(&*session, &queue, ["one"]).await;
    let mut puller = session.puller(&queue).await.unwrap();
    let held = pull_one(&mut *puller).await;

    // When its connection is cut
    fixture.cut(&name).await;
    let mut health = session.health();
    let closed = health.wait_for(|health| matches!(health, leveret::broker::Health::Closed(_)));
    drop(soon("the loss", closed).await);

    // Then neither an ack nor a pull goes through, and another gets the message
    puller.settle(held.lease, Ack).expect("its own lease");
    assert!(soon("the end of a flush", puller.flush()).await.is_err());
    assert!(soon("the end of a pull", puller.pull()).await.is_err());
    let other = connect(fixture).await;
    is_ready(&*other, &queue, 1).await;
    let again = pull_one(&mut *other.puller(&queue).await.unwrap()).await;
    assert!(again.redelivered);
}
