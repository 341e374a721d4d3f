//! Dead letters: where messages go that their queue gives up, and what is written on them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leveret::broker::Settlement::{Ack, DeadLetter, Requeue};
use leveret::broker::{Argument, Delivery, Destination, ExchangeKind, Session, Settlement};
use leveret::{HeaderValue, Headers, Message};
use leveret_tests::signal::eventually;

use crate::fixture::{Depth, Fixture, unique};
use crate::steps::{
    binding, connect, count, declare, deliveries, delivery, exchange, exchange_before, fill, holds, id, ids, is_ready,
    message, publish, quorum, settle, text, to,
};

/// A quorum queue whose dead letters go through an exchange of their own to a queue of their own, at least once.
struct Yard {
    work: String,
    exchange: String,
    dead: String,
}

impl Yard {
    fn new() -> Self {
        Self {
            work: unique("work"),
            exchange: unique("graves"),
            dead: unique("dead"),
        }
    }

    async fn declared(session: &dyn Session) -> Self {
        let yard = Self::new();
        declare(
            session,
            [exchange(&yard.exchange, ExchangeKind::Direct), quorum(&yard.dead, [])],
        )
        .await;
        declare(session, [binding(&yard.exchange, "grave", &yard.dead), yard.work()]).await;
        yard
    }

    fn work(&self) -> leveret::broker::Declaration {
        quorum(
            &self.work,
            [
                ("x-dead-letter-exchange", text(&self.exchange)),
                ("x-dead-letter-routing-key", text("grave")),
                ("x-dead-letter-strategy", text("at-least-once")),
                ("x-overflow", text("reject-publish")),
                ("x-delivery-limit", Argument::Int(2)),
            ],
        )
    }
}

/// Takes the first message of a queue, settles it, and says what it was.
async fn take(session: &dyn Session, queue: &str, settlement: Settlement) -> Message {
    let mut consumer = session.consume(queue, 1).await.unwrap();
    let Delivery { message, lease, .. } = delivery(&mut *consumer).await;
    consumer.settle(lease, settlement).unwrap();
    consumer.cancel().await.unwrap();
    consumer.close().await;
    message
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Its deaths, the newest first, without their times, which are checked here.
fn deaths(message: &Message) -> Vec<Headers> {
    let Some(HeaderValue::List(deaths)) = message.properties.headers.get("x-death") else {
        panic!("no x-death")
    };
    let without_time = |death: &HeaderValue| {
        let HeaderValue::Table(mut table) = death.clone() else {
            panic!("{death:?}")
        };
        let Some(HeaderValue::Timestamp(time)) = table.remove("time") else {
            panic!("no time in {table:?}")
        };
        assert!(time.abs_diff(now()) < 3600, "{time}");
        table
    };
    deaths.iter().map(without_time).collect()
}

fn death(queue: &str, reason: &str, exchange: &str, routing_key: &str, count: i64) -> Headers {
    Headers::from([
        ("queue".to_owned(), queue.into()),
        ("reason".to_owned(), reason.into()),
        ("exchange".to_owned(), exchange.into()),
        ("routing-keys".to_owned(), HeaderValue::List(vec![routing_key.into()])),
        ("count".to_owned(), HeaderValue::Int(count)),
    ])
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.properties.headers.get(name).and_then(HeaderValue::as_text)
}

pub(crate) async fn a_rejected_message_goes_to_the_dead_letter_exchange_with_its_record(fixture: &dyn Fixture) {
    // Given a message with a header of its own in a queue with a yard
    let session = connect(fixture).await;
    let yard = Yard::declared(&*session).await;
    let mut sent = message("one");
    sent.properties.headers.insert("mine".to_owned(), "kept".into());
    let mut publisher = session.publisher().await.unwrap();
    publish(&mut *publisher, &Destination::queue(&yard.work), &sent).await;

    // When it is dead-lettered
    take(&*session, &yard.work, DeadLetter).await;

    // Then it is in the dead-letter queue as it was, with the record of its death
    let dead = take(&*session, &yard.dead, Ack).await;
    assert_eq!(dead.body, sent.body);
    assert_eq!(dead.properties.message_id, sent.properties.message_id);
    assert_eq!(header(&dead, "mine"), Some("kept"));
    assert_eq!(deaths(&dead), [death(&yard.work, "rejected", "", &yard.work, 1)]);
    assert_eq!(header(&dead, "x-first-death-queue"), Some(yard.work.as_str()));
    assert_eq!(header(&dead, "x-first-death-reason"), Some("rejected"));
    assert_eq!(header(&dead, "x-first-death-exchange"), Some(""));
    holds(fixture, &yard.work, 0, 0).await;
}

pub(crate) async fn a_message_whose_time_is_over_goes_to_the_dead_letter_exchange_and_not_before(
    fixture: &dyn Fixture,
) {
    // Given a queue in which a message may be for half a second
    let session = connect(fixture).await;
    let yard = Yard::new();
    let waiting = quorum(
        &yard.work,
        [
            ("x-message-ttl", Argument::Int(500)),
            ("x-dead-letter-exchange", text(&yard.exchange)),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ],
    );
    let all = [
        exchange(&yard.exchange, ExchangeKind::Topic),
        quorum(&yard.dead, []),
        binding(&yard.exchange, "#", &yard.dead),
        waiting,
    ];
    declare(&*session, all).await;

    // When two are there that long
    let begun = tokio::time::Instant::now();
    fill(&*session, &yard.work, ["one", "two"]).await;
    let mut consumer = session.consume(&yard.dead, 10).await.unwrap();
    let expired = deliveries(&mut *consumer, 2).await;

    // Then they go on in order with the record of it
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert_eq!(ids(&expired), ["one", "two"]);
    assert_eq!(
        deaths(&expired[0].message),
        [death(&yard.work, "expired", "", &yard.work, 1)]
    );
    holds(fixture, &yard.work, 0, 0).await;
}

pub(crate) async fn a_rejected_message_without_a_dead_letter_exchange_is_gone(fixture: &dyn Fixture) {
    let session = connect(fixture).await;
    let queue = unique("queue");
    declare(&*session, [quorum(&queue, [])]).await;
    fill(&*session, &queue, ["one"]).await;

    take(&*session, &queue, DeadLetter).await;

    holds(fixture, &queue, 0, 0).await;
}

pub(crate) async fn without_a_key_of_its_own_a_dead_letter_keeps_the_message_s_key(fixture: &dyn Fixture) {
    // Given a queue that names a dead-letter exchange and no key
    let session = connect(fixture).await;
    let [work, graves, dead, source] = ["work", "graves", "dead", "source"].map(unique);
    declare(
        &*session,
        [
            exchange(&graves, ExchangeKind::Direct),
            exchange(&source, ExchangeKind::Topic),
            quorum(&dead, []),
            quorum(&work, [("x-dead-letter-exchange", text(&graves))]),
            binding(&graves, "eu.mail", &dead),
            binding(&source, "*.mail", &work),
        ],
    )
    .await;
    let mut publisher = session.publisher().await.unwrap();
    publish(&mut *publisher, &to(&source, "eu.mail"), &message("one")).await;

    // When a message is dead-lettered, then its own key leads it on, and exchange and key are on record
    take(&*session, &work, DeadLetter).await;
    let dead = take(&*session, &dead, Ack).await;
    assert_eq!(deaths(&dead), [death(&work, "rejected", &source, "eu.mail", 1)]);
}

pub(crate) async fn a_delivery_limit_allows_one_more_delivery_than_it_says(fixture: &dyn Fixture) {
    // Given a limit of two
    let session = connect(fixture).await;
    let yard = Yard::declared(&*session).await;
    fill(&*session, &yard.work, ["one"]).await;

    // When the message is requeued each time, then it comes three times; where a requeue does not count, for ever
    let mut consumer = session.consume(&yard.work, 1).await.unwrap();
    if !fixture.version().await.counts_nacks() {
        for _ in 0..9 {
            let delivery = delivery(&mut *consumer).await;
            assert_eq!(count(&delivery.message), 0);
            settle(&mut *consumer, delivery, Requeue);
        }
        return assert_eq!(id(&delivery(&mut *consumer).await.message), "one");
    }
    for expected in 0..3 {
        let delivery = delivery(&mut *consumer).await;
        assert_eq!(count(&delivery.message), expected);
        settle(&mut *consumer, delivery, Requeue);
    }

    // Then it is a dead letter that says so
    let dead = take(&*session, &yard.dead, Ack).await;
    assert_eq!(deaths(&dead), [death(&yard.work, "delivery_limit", "", &yard.work, 1)]);
    holds(fixture, &yard.work, 0, 0).await;
}

pub(crate) async fn a_lost_connection_counts_as_a_failed_delivery(fixture: &dyn Fixture) {
    // Given a limit of two
    let session = connect(fixture).await;
    let yard = Yard::declared(&*session).await;
    fill(&*session, &yard.work, ["one"]).await;

    // When three clients vanish with the message, one of them without ever having looked at it
    for expected in 0..3 {
        let client = connect(fixture).await;
        let mut consumer = client.consume(&yard.work, 5).await.unwrap();
        if expected == 1 {
            holds(fixture, &yard.work, 0, 1).await;
        } else {
            assert_eq!(count(&delivery(&mut *consumer).await.message), expected);
        }
        client.close().await;
    }

    // Then it is a dead letter
    let dead = take(&*session, &yard.dead, Ack).await;
    assert_eq!(deaths(&dead), [death(&yard.work, "delivery_limit", "", &yard.work, 1)]);
}

pub(crate) async fn the_count_of_deliveries_starts_again_in_the_dead_letter_queue(fixture: &dyn Fixture) {
    // Given a message that was delivered twice before it died, first to a client that vanished with it
    let session = connect(fixture).await;
    let yard = Yard::declared(&*session).await;
    fill(&*session, &yard.work, ["one"]).await;
    let client = connect(fixture).await;
    let mut vanishing = client.consume(&yard.work, 1).await.unwrap();
    delivery(&mut *vanishing).await;
    client.close().await;
    assert_eq!(count(&take(&*session, &yard.work, DeadLetter).await), 1);

    // When it is delivered from the dead-letter queue, then it counts from nought, or goes on from where it was
    let mut consumer = session.consume(&yard.dead, 1).await.unwrap();
    let dead = delivery(&mut *consumer).await;
    let told = (dead.redelivered, count(&dead.message));
    match fixture.version().await.dead_letters_keep_their_count() {
        false => assert_eq!(told, (false, 0)),
        // Whether the death itself counts differs from run to run.
        true => assert!(matches!(told, (true, 1 | 2)), "{told:?}"),
    }
}

pub(crate) async fn a_second_death_is_recorded_before_the_first(fixture: &dyn Fixture) {
    // Given two queues that are each other's dead-letter queue
    let session = connect(fixture).await;
    let (one, other) = (unique("one"), unique("other"));
    for (queue, next) in [(&one, &other), (&other, &one)] {
        let through_default = [
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(next)),
        ];
        declare(&*session, [quorum(queue, through_default)]).await;
    }
    fill(&*session, &one, ["it"]).await;

    // When a message is rejected here, there, and here again
    for queue in [&one, &other, &one] {
        take(&*session, queue, DeadLetter).await;
    }

    // Then the newest death comes first, those of the same kind are counted, and the first one is remembered
    let dead = take(&*session, &other, Ack).await;
    let expected = [
        death(&one, "rejected", "", &one, 2),
        death(&other, "rejected", "", &other, 1),
    ];
    assert_eq!(deaths(&dead), expected);
    assert_eq!(header(&dead, "x-first-death-queue"), Some(one.as_str()));
}

pub(crate) async fn a_dead_letter_whose_target_is_missing_is_kept(fixture: &dyn Fixture) {
    // Given a queue whose dead-letter exchange does not exist
    let session = connect(fixture).await;
    let yard = Yard::new();
    declare(&*session, [yard.work()]).await;
    fill(&*session, &yard.work, ["one"]).await;

    // When a message is dead-lettered, then it is in no consumer's reach, but not lost
    take(&*session, &yard.work, DeadLetter).await;
    let kept = Depth {
        ready: 0,
        unacked: 0,
        total: 1,
    };
    eventually("it is kept", async || fixture.depth(&yard.work).await == Some(kept)).await;
}

pub(crate) async fn at_most_once_a_dead_letter_whose_target_is_missing_is_lost(fixture: &dyn Fixture) {
    // Given queues that lack one of the conditions of at-least-once
    let session = connect(fixture).await;
    let graves = unique("graves");
    let to_graves = || ("x-dead-letter-exchange", text(&graves));
    let at_least_once = || ("x-dead-letter-strategy", text("at-least-once"));
    for arguments in [
        [to_graves(), ("x-overflow", text("reject-publish"))],
        [to_graves(), at_least_once()],
    ] {
        let queue = unique("queue");
        declare(&*session, [quorum(&queue, arguments)]).await;
        fill(&*session, &queue, ["one"]).await;

        // When a message is dead-lettered, then it is lost
        take(&*session, &queue, DeadLetter).await;
        holds(fixture, &queue, 0, 0).await;
    }
}

pub(crate) async fn an_alternate_exchange_takes_dead_letters_as_well(fixture: &dyn Fixture) {
    // Given a dead-letter exchange without a queue, and an alternate exchange behind it
    let session = connect(fixture).await;
    let (yard, alternate) = (Yard::new(), unique("alternate"));
    declare(
        &*session,
        [
            exchange(&alternate, ExchangeKind::Fanout),
            exchange_before(&yard.exchange, ExchangeKind::Direct, Some(&alternate)),
            quorum(&yard.dead, []),
            binding(&alternate, "", &yard.dead),
            yard.work(),
        ],
    )
    .await;
    fill(&*session, &yard.work, ["one"]).await;

    // When a message is dead-lettered, then it is behind the alternate exchange
    take(&*session, &yard.work, DeadLetter).await;
    is_ready(&*session, &yard.dead, 1).await;
    assert_eq!(id(&take(&*session, &yard.dead, Ack).await), "one");
}
