//! Faults happen where and when the plan says, and their effect is what it says.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use leveret::broker::memory::{Fault, FaultPlan, FaultPoint, MemoryBroker, Moment};
use leveret::broker::{Answer, Broker, BrokerErrorKind, ConsumerEvent, Destination, Health, Settlement};
use tokio::time::Instant;

use crate::{answer, answer_now, delivery, event, mail, message, quorum, settled, with_mail};

/// One fault, at the given step, the first time that it comes up.
fn once(point: FaultPoint, fault: Fault) -> impl FaultPlan {
    let mut fault = Some(fault);
    move |at| match at == point {
        true => fault.take().unwrap_or(Fault::None),
        false => Fault::None,
    }
}

fn ready(broker: &MemoryBroker) -> usize {
    broker.depth("mail").unwrap().ready
}

#[tokio::test]
async fn a_connection_that_breaks_at_a_publish_has_stored_it_or_not() {
    for (moment, stored) in [(Moment::Before, 0), (Moment::After, 1)] {
        // Given a connection that breaks at the next publish
        let broker = MemoryBroker::new();
        let session = with_mail(&broker).await;
        let mut publisher = session.publisher().await.unwrap();
        broker.set_faults(once(FaultPoint::Publish, Fault::LoseConnection(moment)));

        // When one publishes, then all that is heard is the loss, and the message is there or not
        publisher.publish(1, &mail(), &message("one")).unwrap();
        assert!(
            matches!(answer(&mut *publisher).await, Answer::Lost(error) if error.kind() == BrokerErrorKind::Transport)
        );
        assert!(matches!(&*session.health().borrow(), Health::Closed(_)));
        assert_eq!(ready(&broker), stored);
    }
}

#[tokio::test]
async fn an_answer_is_lost_with_its_connection_and_those_behind_it_or_given_out_first() {
    for (moment, heard) in [(Moment::Before, 0), (Moment::After, 1)] {
        // Given an answered publish whose answer is about to be given out
        let broker = MemoryBroker::new();
        let session = with_mail(&broker).await;
        let mut publisher = session.publisher().await.unwrap();
        publisher.publish(1, &mail(), &message("one")).unwrap();
        broker.set_faults(once(FaultPoint::Answer, Fault::LoseConnection(moment)));

        // When it is asked for, then the connection breaks before or after it
        let mut answers = 0;
        while let Answer::Settled { .. } = answer(&mut *publisher).await {
            answers += 1;
        }
        assert_eq!(answers, heard);
        assert_eq!(ready(&broker), 1);
    }
}

#[tokio::test]
async fn a_channel_that_is_killed_leaves_its_connection() {
    // Given a channel that is killed at the next publish
    let broker = MemoryBroker::new();
    let session = with_mail(&broker).await;
    let mut publisher = session.publisher().await.unwrap();
    broker.set_faults(once(FaultPoint::Publish, Fault::KillChannel(Moment::After)));

    // When one publishes, then it is stored, the channel lost, and a new one works
    publisher.publish(1, &mail(), &message("one")).unwrap();
    assert!(matches!(answer(&mut *publisher).await, Answer::Lost(_)));
    assert_eq!(*session.health().borrow(), Health::Open);
    let mut next = session.publisher().await.unwrap();
    next.publish(2, &mail(), &message("two")).unwrap();
    assert_eq!(answer(&mut *next).await, settled(2, true));
    assert_eq!(ready(&broker), 2);
}

#[tokio::test]
async fn a_publish_is_nacked_or_never_answered_on_demand() {
    // Given one publish to be nacked and one never to be answered
    let mut faults = VecDeque::from([Fault::Nack, Fault::LoseAnswer]);
    let broker = MemoryBroker::with_faults(move |point| match point {
        FaultPoint::Publish => faults.pop_front().unwrap_or(Fault::None),
        _ => Fault::None,
    });
    let session = with_mail(&broker).await;
    let mut publisher = session.publisher().await.unwrap();

    // When three are published, then the first is refused, the second stored in silence, the third confirmed
    for tag in 1..=3 {
        publisher.publish(tag, &mail(), &message("one")).unwrap();
    }
    assert_eq!(answer(&mut *publisher).await, settled(1, false));
    assert_eq!(answer(&mut *publisher).await, settled(3, true));
    assert_eq!(answer_now(&mut *publisher).await, None);
    assert_eq!(ready(&broker), 2);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_answer_comes_when_its_time_has_come_and_others_pass_it() {
    // Given a publish whose answer takes a minute
    let broker = MemoryBroker::with_faults(once(FaultPoint::Publish, Fault::DelayAnswer(Duration::from_secs(60))));
    let session = with_mail(&broker).await;
    let mut publisher = session.publisher().await.unwrap();
    let start = Instant::now();

    // When another is published behind it
    publisher.publish(1, &mail(), &message("slow")).unwrap();
    publisher.publish(2, &mail(), &message("quick")).unwrap();

    // Then that is answered first, and the slow one after its minute
    assert_eq!(answer(&mut *publisher).await, settled(2, true));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(answer(&mut *publisher).await, settled(1, true));
    assert_eq!(start.elapsed(), Duration::from_secs(60));
}

/// Publishes alternately to `mail` and to nowhere, all at once, and takes the answers in the order of a seed.
async fn shuffled(seed: u64) -> Vec<Answer> {
    let broker = MemoryBroker::with_faults(once(FaultPoint::Batch, Fault::Shuffle(seed)));
    let session = with_mail(&broker).await;
    let mut publisher = session.publisher().await.unwrap();
    for tag in 0..100 {
        let to = match tag % 2 {
            0 => mail(),
            _ => Destination::queue("nowhere"),
        };
        publisher.publish(tag, &to, &message(&tag.to_string())).unwrap();
    }
    let mut answers = Vec::new();
    while let Some(answer) = answer_now(&mut *publisher).await {
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn in_a_shuffled_batch_returned_ids_land_on_strangers_and_none_is_lost() {
    // When the confirms of a batch resolve in a shuffled order
    let answers = shuffled(7).await;

    // Then each tag is answered once, all returned ids are there, and some of them belong to others
    let mut tags = BTreeSet::new();
    let mut returned = BTreeSet::new();
    let mut strangers = 0;
    for answer in &answers {
        let Answer::Settled {
            tag,
            acked: true,
            returned: id,
        } = answer
        else {
            panic!("{answer:?}")
        };
        assert!(tags.insert(*tag));
        if let Some(id) = id {
            strangers += u32::from(*id != tag.to_string());
            returned.insert(id.parse::<u64>().unwrap());
        }
    }
    assert_eq!(tags, (0..100).collect());
    assert_eq!(returned, (0..100).filter(|tag| tag % 2 == 1).collect());
    assert!(strangers > 0);

    // And the same seed gives the same order, another one another
    assert_eq!(shuffled(7).await, answers);
    assert_ne!(shuffled(8).await, answers);
}

#[tokio::test]
async fn a_declaration_without_an_answer_took_place_or_not() {
    for (moment, is_there) in [(Moment::Before, false), (Moment::After, true)] {
        let broker = MemoryBroker::with_faults(once(FaultPoint::Declare, Fault::FailRpc(moment)));
        let session = broker.connect("test").await.unwrap();

        let (index, error) = session.declare(&[quorum("mail", "dead")]).await.unwrap_err();

        assert_eq!((index, error.kind()), (0, BrokerErrorKind::Timeout));
        assert_eq!(broker.depth("mail").is_some(), is_there);
        session.declare(&[quorum("mail", "dead")]).await.unwrap();
    }
}

#[tokio::test]
async fn a_connect_fails_or_its_connection_is_lost_at_once() {
    // Given a plan that spoils three connects
    let mut faults = VecDeque::from([
        Fault::LoseConnection(Moment::Before),
        Fault::LoseConnection(Moment::After),
        Fault::FailRpc(Moment::Before),
    ]);
    let broker = MemoryBroker::with_faults(move |point| match point {
        FaultPoint::Connect => faults.pop_front().unwrap_or(Fault::None),
        _ => Fault::None,
    });

    // When one connects four times, then each fails in its way, and the last one works
    assert_eq!(
        broker.connect("a").await.unwrap_err().kind(),
        BrokerErrorKind::Transport
    );
    let lost = broker.connect("b").await.unwrap();
    assert!(matches!(&*lost.health().borrow(), Health::Closed(_)));
    assert_eq!(broker.connect("c").await.unwrap_err().kind(), BrokerErrorKind::Timeout);
    assert_eq!(*broker.connect("d").await.unwrap().health().borrow(), Health::Open);
}

#[tokio::test]
async fn a_consumer_is_cancelled_by_the_broker_and_can_still_settle() {
    // Given two messages and a consumer that is cancelled with its first delivery
    let broker = MemoryBroker::new();
    let session = with_mail(&broker).await;
    broker.publish_raw(&mail(), &message("one")).unwrap();
    let mut consumer = session.consume("mail", 1).await.unwrap();
    broker.publish_raw(&mail(), &message("two")).unwrap();
    broker.set_faults(once(FaultPoint::Deliver, Fault::CancelConsumer));

    // When it takes that and settles it, then the message is gone and no other comes
    let held = delivery(&mut *consumer).await;
    assert!(matches!(event(&mut *consumer).await, ConsumerEvent::Cancelled));
    consumer.settle(held.lease, Settlement::Ack).unwrap();
    consumer.flush();
    assert_eq!((ready(&broker), broker.depth("mail").unwrap().unacked), (1, 0));
}

#[tokio::test]
async fn a_flush_reaches_the_broker_or_not_when_the_connection_breaks_at_it() {
    for (point, moment, left) in [
        (FaultPoint::Flush, Moment::Before, 2),
        (FaultPoint::Flush, Moment::After, 0),
        (FaultPoint::Settle, Moment::After, 1),
        (FaultPoint::Settle, Moment::Before, 2),
        (FaultPoint::Close, Moment::Before, 0),
    ] {
        // Given two deliveries
        let broker = MemoryBroker::new();
        let session = with_mail(&broker).await;
        broker.publish_raw(&mail(), &message("one")).unwrap();
        broker.publish_raw(&mail(), &message("two")).unwrap();
        let mut consumer = session.consume("mail", 5).await.unwrap();
        let held = [delivery(&mut *consumer).await, delivery(&mut *consumer).await];
        broker.set_faults(once(point, Fault::LoseConnection(moment)));

        // When they are settled, flushed and the consumer closed, then as much of it counts as came before the fault
        for delivery in held {
            consumer.settle(delivery.lease, Settlement::Ack).unwrap();
        }
        consumer.flush();
        consumer.close().await;
        assert_eq!(ready(&broker), left, "{point:?} {moment:?}");
    }
}

#[tokio::test]
async fn deliveries_are_lost_on_the_way_with_the_connection_and_come_again() {
    // Given two deliveries on the way to a consumer, and a connection that breaks before they arrive
    let broker = MemoryBroker::new();
    let session = with_mail(&broker).await;
    broker.publish_raw(&mail(), &message("one")).unwrap();
    broker.publish_raw(&mail(), &message("two")).unwrap();
    let mut consumer = session.consume("mail", 5).await.unwrap();
    broker.set_faults(once(FaultPoint::Deliver, Fault::LoseConnection(Moment::Before)));

    // When the consumer looks, then it hears of the loss alone, and a new one gets both, marked
    assert!(matches!(event(&mut *consumer).await, ConsumerEvent::Lost(_)));
    let session = broker.connect("next").await.unwrap();
    let mut next = session.consume("mail", 5).await.unwrap();
    assert!(delivery(&mut *next).await.redelivered);
    assert!(delivery(&mut *next).await.redelivered);
}

#[tokio::test]
async fn a_plan_is_asked_at_every_step_in_the_order_of_events() {
    // Given a plan that writes down where it is asked
    let (asked, mut points) = tokio::sync::mpsc::channel(100);
    let broker = MemoryBroker::with_faults(move |point| {
        asked.try_send(point).unwrap();
        Fault::None
    });

    // When one message goes all the way
    let session = with_mail(&broker).await;
    session.inspect("mail").await.unwrap();
    let mut publisher = session.publisher().await.unwrap();
    publisher.publish(1, &mail(), &message("one")).unwrap();
    answer(&mut *publisher).await;
    let mut consumer = session.consume("mail", 5).await.unwrap();
    let held = delivery(&mut *consumer).await;
    consumer.settle(held.lease, Settlement::Ack).unwrap();
    consumer.flush();
    consumer.cancel().await.unwrap();
    consumer.close().await;

    // Then it was asked at each step
    let mut seen = Vec::new();
    while let Ok(point) = points.try_recv() {
        seen.push(point);
    }
    use FaultPoint::*;
    let expected = [
        Connect,
        Declare,
        Inspect,
        OpenPublisher,
        Publish,
        Batch,
        Answer,
        Consume,
        Deliver,
        Settle,
        Flush,
        Cancel,
        Close,
    ];
    assert_eq!(seen, expected);
}
