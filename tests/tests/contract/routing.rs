//! Exchanges: which queues a message reaches.

use leveret::broker::{Destination, ExchangeKind, Session};

use crate::fixture::{Fixture, unique};
use crate::steps::{
    binding, connect, declare, exchange, exchange_before, exchange_binding, message, publish, quorum, to, with_queue,
};

/// Two queues bound to a new exchange with these keys.
async fn two_queues(session: &dyn Session, kind: ExchangeKind, keys: [&str; 2]) -> (String, [String; 2]) {
    let source = unique("exchange");
    let queues = [unique("first"), unique("second")];
    declare(session, [exchange(&source, kind)]).await;
    for (queue, key) in queues.iter().zip(keys) {
        declare(session, [quorum(queue, []), binding(&source, key, queue)]).await;
    }
    (source, queues)
}

pub(crate) async fn each_kind_of_exchange_routes_in_its_way(fixture: &dyn Fixture) {
    let session = connect(fixture).await;
    let mut publisher = session.publisher().await.unwrap();
    for (kind, keys, key, expected) in [
        (ExchangeKind::Direct, ["a", "b"], "b", [0, 1]),
        (ExchangeKind::Direct, ["a", "a"], "a", [1, 1]),
        (ExchangeKind::Direct, ["#", "*"], "a", [0, 0]),
        (ExchangeKind::Fanout, ["a", "b"], "c", [1, 1]),
        (ExchangeKind::Topic, ["*.*.1.#", "*.*.0.#"], "0.1.0.1.mail", [0, 1]),
        (ExchangeKind::Topic, ["*.mail", "#.mail"], "mail", [0, 1]),
        (ExchangeKind::Topic, ["#.mail", "*.*.mail"], "1.0.mail", [1, 1]),
        (ExchangeKind::Topic, ["a.#.c", "a.*.c"], "a.c", [1, 0]),
        (ExchangeKind::Topic, ["#", ""], "", [1, 1]),
        (ExchangeKind::Topic, ["*", "a.*"], "a.", [0, 1]),
    ] {
        let (source, queues) = two_queues(&*session, kind, keys).await;

        let (acked, returned) = publish(&mut *publisher, &to(&source, key), &message("one")).await;

        assert!(acked);
        assert_eq!(returned.is_some(), expected == [0, 0], "{kind:?} {keys:?} {key}");
        for (queue, expected) in queues.iter().zip(expected) {
            let ready = session.inspect(queue).await.unwrap().ready;
            assert_eq!(ready, expected, "{kind:?} {keys:?} {key} {queue}");
        }
    }
}

pub(crate) async fn a_queue_that_is_bound_twice_gets_a_message_once(fixture: &dyn Fixture) {
    // Given a queue with two bindings that both match
    let (session, queue) = with_queue(fixture).await;
    let source = unique("exchange");
    let topic = exchange(&source, ExchangeKind::Topic);
    declare(
        &*session,
        [topic, binding(&source, "a.*", &queue), binding(&source, "#", &queue)],
    )
    .await;

    // When a message matches, then there is one
    let mut publisher = session.publisher().await.unwrap();
    let answer = publish(&mut *publisher, &to(&source, "a.b"), &message("one")).await;
    assert_eq!(answer, (true, None));
    assert_eq!(session.inspect(&queue).await.unwrap().ready, 1);
}

pub(crate) async fn an_alternate_exchange_takes_what_is_unroutable(fixture: &dyn Fixture) {
    // Given an exchange with an alternate one, and a queue behind that
    let (session, lost) = with_queue(fixture).await;
    let (source, alternate) = (unique("exchange"), unique("alternate"));
    declare(
        &*session,
        [
            exchange(&alternate, ExchangeKind::Fanout),
            binding(&alternate, "", &lost),
            exchange_before(&source, ExchangeKind::Direct, Some(&alternate)),
        ],
    )
    .await;

    // When a publish matches no binding, then it is confirmed, not returned, and there
    let mut publisher = session.publisher().await.unwrap();
    let answer = publish(&mut *publisher, &to(&source, "nobody"), &message("one")).await;
    assert_eq!(answer, (true, None));
    assert_eq!(session.inspect(&lost).await.unwrap().ready, 1);

    // When the alternate exchange has nobody either, then it is returned
    fixture.delete_queue(&lost).await;
    let answer = publish(&mut *publisher, &to(&source, "nobody"), &message("two")).await;
    assert_eq!(answer, (true, Some("two".to_owned())));
}

pub(crate) async fn alternate_exchanges_that_point_at_each_other_end_in_a_return(fixture: &dyn Fixture) {
    // Given two exchanges, each the other's alternate, one of them not even there at first
    let session = connect(fixture).await;
    let (one, other) = (unique("one"), unique("other"));
    let mut publisher = session.publisher().await.unwrap();
    declare(&*session, [exchange_before(&one, ExchangeKind::Direct, Some(&other))]).await;
    let answer = publish(&mut *publisher, &to(&one, "nobody"), &message("half")).await;
    assert_eq!(answer, (true, Some("half".to_owned())));
    declare(&*session, [exchange_before(&other, ExchangeKind::Direct, Some(&one))]).await;

    // When nothing matches, then the message comes back, and the broker goes on
    let answer = publish(&mut *publisher, &to(&one, "nobody"), &message("whole")).await;
    assert_eq!(answer, (true, Some("whole".to_owned())));
    let nowhere = Destination::queue(unique("nowhere"));
    let answer = publish(&mut *publisher, &nowhere, &message("next")).await;
    assert_eq!(answer, (true, Some("next".to_owned())));
}

pub(crate) async fn a_message_goes_on_through_bound_exchanges_and_arrives_once(fixture: &dyn Fixture) {
    // Given three exchanges in a circle, of which one has a queue, by two ways
    let (session, queue) = with_queue(fixture).await;
    let [one, two, three] = ["one", "two", "three"].map(unique);
    declare(
        &*session,
        [&one, &two, &three].map(|name| exchange(name, ExchangeKind::Topic)),
    )
    .await;
    declare(
        &*session,
        [
            exchange_binding(&one, "0.#", &two),
            exchange_binding(&one, "#", &three),
            exchange_binding(&two, "*.0.#", &three),
            exchange_binding(&three, "#", &one),
            binding(&three, "*.*.mail", &queue),
        ],
    )
    .await;

    // When a message matches all the way, then it is there once
    let mut publisher = session.publisher().await.unwrap();
    let answer = publish(&mut *publisher, &to(&one, "0.0.mail"), &message("one")).await;
    assert_eq!(answer, (true, None));
    assert_eq!(session.inspect(&queue).await.unwrap().ready, 1);

    // When no queue is at the end of any way, then it comes back
    let answer = publish(&mut *publisher, &to(&one, "0.0.eu.mail"), &message("two")).await;
    assert_eq!(answer, (true, Some("two".to_owned())));
}

pub(crate) async fn the_alternate_of_a_bound_exchange_takes_what_that_cannot_route(fixture: &dyn Fixture) {
    // Given an exchange bound to another, with a queue behind the alternate of that
    let (session, lost) = with_queue(fixture).await;
    let [first, last, alternate] = ["first", "last", "alternate"].map(unique);
    declare(
        &*session,
        [
            exchange(&alternate, ExchangeKind::Fanout),
            binding(&alternate, "", &lost),
            exchange_before(&last, ExchangeKind::Topic, Some(&alternate)),
            exchange(&first, ExchangeKind::Topic),
            exchange_binding(&first, "#", &last),
        ],
    )
    .await;

    // When nobody is bound at the end, then it is there
    let mut publisher = session.publisher().await.unwrap();
    let answer = publish(&mut *publisher, &to(&first, "nobody"), &message("one")).await;
    assert_eq!(answer, (true, None));
    assert_eq!(session.inspect(&lost).await.unwrap().ready, 1);
}
