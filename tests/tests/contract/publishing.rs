//! Publishing: each tag is answered, and each answer is true.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use leveret::broker::Settlement::Ack;
use leveret::broker::{Answer, Argument, BrokerError, BrokerErrorKind, Destination, Health, Publisher};
use leveret::envelope::DEFAULT_FRAME_MAX;
use leveret::{HeaderValue, Headers, Message};
use leveret_tests::signal::soon;

use crate::fixture::{Fixture, unique};
use crate::steps::{
    answer, connect, declare, deliveries, delivery, fill, id, is_ready, message, publish, quorum, settle, text, to,
    with_queue,
};

/// Takes answers until the channel is lost, and says how. With no open tag it tells of that only after a publish.
pub(crate) async fn lost(publisher: &mut dyn Publisher) -> BrokerError {
    let nowhere = Destination::queue(unique("nowhere"));
    publisher.publish(0, &nowhere, &message("last")).unwrap();
    loop {
        if let Answer::Lost(error) = answer(publisher).await {
            return error;
        }
    }
}

pub(crate) async fn a_publish_is_confirmed_after_it_was_routed(fixture: &dyn Fixture) {
    // Given a queue
    let (session, queue) = with_queue(fixture).await;
    let mut publisher = session.publisher().await.unwrap();

    // When a publish to it is confirmed
    let answer = publish(&mut *publisher, &Destination::queue(&queue), &message("one")).await;

    // Then it is there at that moment
    assert_eq!(answer, (true, None));
    assert_eq!(session.inspect(&queue).await.unwrap().ready, 1);
}

pub(crate) async fn an_unroutable_publish_comes_back_with_its_id(fixture: &dyn Fixture) {
    let session = connect(fixture).await;
    let mut publisher = session.publisher().await.unwrap();

    let nowhere = Destination::queue(unique("nowhere"));
    let answer = publish(&mut *publisher, &nowhere, &message("one")).await;

    assert_eq!(answer, (true, Some("one".to_owned())));
}

pub(crate) async fn a_returned_message_without_an_id_is_reported_all_the_same(fixture: &dyn Fixture) {
    // Given a message without an id
    let session = connect(fixture).await;
    let mut publisher = session.publisher().await.unwrap();

    // When it comes back, then the answer is no plain success
    let nowhere = Destination::queue(unique("nowhere"));
    let answer = publish(&mut *publisher, &nowhere, &Message::default()).await;
    assert_eq!(answer, (true, Some(String::new())));
}

pub(crate) async fn a_publish_that_a_full_queue_refuses_is_nacked(fixture: &dyn Fixture) {
    // Given queues that refuse what is too much
    let session = connect(fixture).await;
    let mut publisher = session.publisher().await.unwrap();
    let limits = || {
        [
            ("x-max-length", Argument::Int(3)),
            ("x-overflow", text("reject-publish")),
        ]
    };
    for (full, takes) in [
        (quorum(&unique("quorum"), limits()), 4),
        (crate::steps::queue(&unique("classic"), limits()), 3),
    ] {
        let leveret::broker::Declaration::Queue(declaration) = &full else {
            panic!("a queue")
        };
        let queue = declaration.name.clone();
        declare(&*session, [full]).await;

        // When they are filled up, then what is confirmed is there and the rest is nacked
        for number in 1..=6 {
            let answer = publish(&mut *publisher, &Destination::queue(&queue), &message("one")).await;
            assert_eq!(answer, (number <= takes, None), "publish {number} to {queue}");
        }
        assert_eq!(session.inspect(&queue).await.unwrap().ready, takes);

        // When there is room again, then it is confirmed
        let mut consumer = session.consume(&queue, 10).await.unwrap();
        for held in deliveries(&mut *consumer, takes as usize).await {
            settle(&mut *consumer, held, Ack);
        }
        is_ready(&*session, &queue, 0).await;
        consumer.cancel().await.unwrap();
        consumer.close().await;
        let room = async {
            while !publish(&mut *publisher, &Destination::queue(&queue), &message("late"))
                .await
                .0
            {}
        };
        soon("there is room again", room).await;
    }
}

pub(crate) async fn every_tag_is_answered_once_and_the_returned_ids_are_the_unroutable_ones(fixture: &dyn Fixture) {
    // Given a quorum queue, a classic one, and one that is missing
    let session = connect(fixture).await;
    let [safe, quick, nowhere] = ["safe", "quick", "nowhere"].map(unique);
    declare(&*session, [quorum(&safe, []), crate::steps::queue(&quick, [])]).await;
    let mut publisher = session.publisher().await.unwrap();

    // When thousands of publishes to all three are under way at once
    let (count, window) = (3000, 1000);
    let (mut next, mut answered, mut returned) = (0, BTreeSet::new(), BTreeSet::new());
    while answered.len() < count {
        while next < count && next < answered.len() + window {
            let target = [&safe, &quick, &safe, &nowhere][next % 4];
            let to = Destination::queue(target.as_str());
            publisher
                .publish(next as u64, &to, &message(&format!("id-{next}")))
                .unwrap();
            next += 1;
        }
        match answer(&mut *publisher).await {
            Answer::Settled {
                tag,
                acked,
                returned: id,
            } => {
                assert!(acked, "{tag} was nacked");
                assert!(answered.insert(tag), "{tag} was answered twice");
                returned.extend(id);
            }
            other => panic!("{other:?}"),
        }
    }

    // Then each was answered once, exactly the unroutable ones came back, and the others are there
    assert_eq!(answered, (0..count as u64).collect());
    let unroutable = (0..count).filter(|number| number % 4 == 3);
    assert_eq!(returned, unroutable.map(|number| format!("id-{number}")).collect());
    assert_eq!(session.inspect(&safe).await.unwrap().ready, 1500);
    assert_eq!(session.inspect(&quick).await.unwrap().ready, 750);
    assert!(
        poll_fn(|cx| Poll::Ready(publisher.poll_answer(cx).is_pending())).await,
        "one answer too many"
    );
}

pub(crate) async fn publishes_keep_their_order(fixture: &dyn Fixture) {
    // Given a thousand publishes at once
    let (session, queue) = with_queue(fixture).await;
    let ids: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    fill(&*session, &queue, &ids).await;

    // When they are consumed, then they come as they were published
    let mut consumer = session.consume(&queue, 2000).await.unwrap();
    for expected in &ids {
        let delivery = delivery(&mut *consumer).await;
        assert_eq!(id(&delivery.message), expected);
        consumer.settle(delivery.lease, Ack).unwrap();
    }
}

pub(crate) async fn a_publish_to_a_missing_exchange_loses_the_channel_and_nothing_else(fixture: &dyn Fixture) {
    // Given two publishers and a consumer on one session
    let (session, queue) = with_queue(fixture).await;
    let mut doomed = session.publisher().await.unwrap();
    let mut other = session.publisher().await.unwrap();
    let mut consumer = session.consume(&queue, 5).await.unwrap();

    // When one publishes to an exchange that is not there, and on
    let missing = unique("missing");
    doomed.publish(1, &to(&missing, "key"), &message("gone")).unwrap();
    doomed
        .publish(2, &Destination::queue(&queue), &message("behind it"))
        .unwrap();

    // Then its channel is lost, nothing behind it was stored, and all others work, new ones as well
    let error = lost(&mut *doomed).await;
    assert_eq!(error.kind(), BrokerErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains(&missing), "{error}");
    for publisher in [&mut other, &mut session.publisher().await.unwrap()] {
        let answer = publish(&mut **publisher, &Destination::queue(&queue), &message("fine")).await;
        assert_eq!(answer, (true, None));
        assert_eq!(id(&delivery(&mut *consumer).await.message), "fine");
    }
    assert_eq!(*session.health().borrow(), Health::Open);
}

pub(crate) async fn a_lost_publisher_stays_lost(fixture: &dyn Fixture) {
    // Given a publisher whose channel was lost
    let (session, queue) = with_queue(fixture).await;
    let mut publisher = session.publisher().await.unwrap();
    publisher
        .publish(1, &to(&unique("missing"), "key"), &message("gone"))
        .unwrap();
    lost(&mut *publisher).await;

    // When it is used again, then it only says so again
    publisher
        .publish(2, &Destination::queue(&queue), &message("late"))
        .unwrap();
    lost(&mut *publisher).await;
    assert_eq!(session.inspect(&queue).await.unwrap().ready, 0);
}

pub(crate) async fn what_amqp_cannot_carry_is_refused_before_it_is_sent(fixture: &dyn Fixture) {
    // Given names of more than 255 bytes
    let (session, queue) = with_queue(fixture).await;
    let mut publisher = session.publisher().await.unwrap();
    let long = "x".repeat(256);
    let mut headed = message("headed");
    headed.properties.headers.insert(long.clone(), HeaderValue::Null);
    let mut nested = message("nested");
    let table = HeaderValue::Table(Headers::from([(long.clone(), HeaderValue::Null)]));
    nested
        .properties
        .headers
        .insert("list".to_owned(), HeaderValue::List(vec![table]));
    let here = Destination::queue(&queue);

    // When they are used, then each is refused, and the channel goes on
    for (to, message) in [
        (&Destination::queue(&long), &message("key")),
        (&to(&long, "key"), &message("exchange")),
        (&here, &message(&long)),
        (&here, &headed),
        (&here, &nested),
    ] {
        let error = publisher.publish(1, to, message).unwrap_err();
        assert_eq!(error.kind(), BrokerErrorKind::Protocol, "{error}");
    }
    assert_eq!(publish(&mut *publisher, &here, &message("next")).await, (true, None));
    assert_eq!(session.inspect(&queue).await.unwrap().ready, 1);
}

pub(crate) async fn headers_that_do_not_fit_a_frame_are_refused_before_they_are_sent(fixture: &dyn Fixture) {
    // Given two messages whose headers fill a frame, one of them by a byte too much
    let (session, queue) = with_queue(fixture).await;
    let mut publisher = session.publisher().await.unwrap();
    let here = Destination::queue(&queue);
    let headed = |size: usize| {
        let mut headed = message("headed");
        let headers = &mut headed.properties.headers;
        headers.insert("filling".to_owned(), "".into());
        let text = "x".repeat(size - headed.header_size());
        headed.properties.headers.insert("filling".to_owned(), text.into());
        headed
    };
    let (fits, does_not) = (headed(DEFAULT_FRAME_MAX), headed(DEFAULT_FRAME_MAX + 1));

    // When they are sent, then that one is refused, and it costs nobody else anything
    let error = publisher.publish(1, &here, &does_not).unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Protocol, "{error}");
    assert!(error.to_string().contains("131072 bytes"), "{error}");
    assert_eq!(publish(&mut *publisher, &here, &fits).await, (true, None));
    assert_eq!(*session.health().borrow(), Health::Open);
    assert_eq!(session.inspect(&queue).await.unwrap().ready, 1);
}

pub(crate) async fn bodies_of_any_bytes_and_size_survive(fixture: &dyn Fixture) {
    // Given an empty body, all bytes, and a megabyte
    let (session, queue) = with_queue(fixture).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let megabyte: Vec<u8> = (0..1_048_576_u32).map(|number| (number * 7 / 3) as u8).collect();
    let mut publisher = session.publisher().await.unwrap();
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    for body in [Bytes::new(), Bytes::from(every_byte), Bytes::from(megabyte)] {
        let mut message = message("one");
        message.body = body.clone();

        // When it is sent, then it arrives as it was
        let answer = publish(&mut *publisher, &Destination::queue(&queue), &message).await;
        assert_eq!(answer, (true, None));
        assert!(
            delivery(&mut *consumer).await.message.body == body,
            "{} bytes",
            body.len()
        );
    }
}

pub(crate) async fn all_properties_and_kinds_of_header_values_survive(fixture: &dyn Fixture) {
    // Given a message with everything that a message can have
    let (session, queue) = with_queue(fixture).await;
    let mut message = message("one");
    let p = &mut message.properties;
    p.kind = Some("send_welcome".into());
    p.content_type = Some("application/json".into());
    p.content_encoding = Some("identity".into());
    p.correlation_id = Some("order-7".into());
    p.reply_to = Some("answers".into());
    p.app_id = Some("shop/häse".into());
    p.timestamp = Some(1_700_000_000);
    p.priority = Some(3);
    p.headers = Headers::from([
        ("null".into(), HeaderValue::Null),
        ("bool".into(), HeaderValue::Bool(true)),
        ("int".into(), HeaderValue::Int(i64::MIN)),
        ("float".into(), HeaderValue::Float(0.25)),
        ("text".into(), HeaderValue::Text("häse".into())),
        ("empty".into(), HeaderValue::Text(String::new())),
        ("bytes".into(), HeaderValue::Bytes(vec![0xff, 0, 0xfe])),
        ("timestamp".into(), HeaderValue::Timestamp(1_700_000_000)),
        (
            "list".into(),
            HeaderValue::List(vec![1_i64.into(), "two".into(), HeaderValue::List(vec![])]),
        ),
        (
            "table".into(),
            HeaderValue::Table(Headers::from([("inner".into(), 7_i64.into())])),
        ),
    ]);

    // When it travels
    let mut publisher = session.publisher().await.unwrap();
    publish(&mut *publisher, &Destination::queue(&queue), &message).await;
    let mut consumer = session.consume(&queue, 5).await.unwrap();
    let mut arrived = delivery(&mut *consumer).await.message;

    // Then all of it arrives, and nothing but the broker's own count beside it
    let count = arrived.properties.headers.remove("x-delivery-count");
    assert!(count.is_none_or(|count| count == HeaderValue::Int(0)));
    assert!(
        arrived == message,
        "{:#?}\n{:#?}",
        arrived.properties.headers,
        message.properties.headers
    );
}

pub(crate) async fn dropping_a_publisher_ends_only_its_channel(fixture: &dyn Fixture) {
    // Given a publisher with a confirmed publish
    let (session, queue) = with_queue(fixture).await;
    let mut publisher = session.publisher().await.unwrap();
    publish(&mut *publisher, &Destination::queue(&queue), &message("one")).await;

    // When it is dropped, then the message is there and the session works
    drop(publisher);
    fill(&*session, &queue, ["two"]).await;
    is_ready(&*session, &queue, 2).await;
}
