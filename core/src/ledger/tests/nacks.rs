//! What the broker refuses.

use super::*;
use crate::broker::{Argument, Arguments, QueueDeclaration};

/// The declarations of a queue that may be full.
fn bounded(queue: &str) -> Arc<[Declaration]> {
    Arc::from([Declaration::Queue(QueueDeclaration {
        name: queue.to_owned(),
        arguments: Arguments::from([("x-max-length".to_owned(), Argument::Int(1))]),
    })])
}

#[test]
fn the_nack_of_a_queue_that_may_be_full_refuses_unless_an_earlier_copy_is_in_doubt() {
    let mut desk = Desk::new();
    let a = desk.accept_for(bounded("q"), "q", "a", FAR);
    let b = desk.accept_for(bounded("q"), "q", "b", FAR);
    desk.send();
    desk.answer(a, false, None);
    desk.lose(BrokerErrorKind::Transport);
    desk.send();
    desk.answer(b, false, None);
    assert_eq!(
        desk.results(),
        [ended("a", Fate::Refused(Why::Nacked)), ended("b", Fate::Unknown)]
    );
}

#[test]
fn what_a_queue_without_a_limit_nacks_is_tried_again_alone_and_before_what_came_later() {
    // Given two publishes for a queue whose members are electing a leader, and one for another queue
    let mut desk = Desk::new();
    let a = desk.accept("q", "a");
    let b = desk.accept("q", "b");
    assert_eq!(desk.send(), ["a", "b"]);

    // When both are nacked, and something else is to be sent
    desk.answer(a, false, None);
    desk.answer(b, false, None);
    desk.accept("other", "c");

    // Then their queue rests, and the other one does not
    assert_eq!(desk.send(), ["c"]);

    // Then one of them goes first, and once that is stored, the other
    desk.expire_at(Duration::from_millis(50));
    assert_eq!(desk.send(), ["a"]);
    desk.ack(a);
    assert_eq!(desk.send(), ["b"]);
    desk.ack(b);
    assert_eq!(desk.results(), [stored("a"), stored("b")]);
}

#[test]
fn a_second_copy_after_a_nack_is_marked_as_one() {
    let mut desk = Desk::new();
    let a = desk.accept("q", "a");
    desk.send();
    desk.answer(a, false, None);
    desk.expire_at(Duration::from_secs(1));
    let (_, _, message) = desk.ledger.next_to_send().expect("due");
    assert!(message.properties.headers.contains_key(headers::RESENT));
}

#[test]
fn nacks_without_end_refuse_after_a_while() {
    let mut desk = Desk::new();
    let a = desk.accept("q", "a");
    let mut tries = 0;
    while desk.resolved.is_empty() {
        if desk.ledger.look(desk.now) {
            desk.ledger.channel_renewed();
        }
        desk.send();
        desk.answer(a, false, None);
        tries += 1;
        desk.expire_at(desk.now + Duration::from_secs(1));
    }
    assert_eq!(desk.results(), [ended("a", Fate::Refused(Why::Nacked))]);
    assert_eq!(tries, 11);
}

#[test]
fn a_wait_that_ends_after_a_nack_is_told_of_it() {
    let mut desk = Desk::new();
    let soon = Duration::from_millis(20);
    let a = desk.accept_until("q", "a", soon);
    desk.send();
    desk.answer(a, false, None);
    desk.expire_at(soon);
    assert_eq!(desk.results(), [ended("a", Fate::Refused(Why::Nacked))]);
}

#[test]
fn what_is_nacked_again_is_tried_on_another_channel() {
    // Given a publish that was nacked twice
    let mut desk = Desk::new();
    let a = desk.accept("q", "a");
    desk.send();
    desk.answer(a, false, None);
    assert!(!desk.ledger.look(desk.now), "once is no reason");
    desk.expire_at(Duration::from_millis(50));
    assert_eq!(desk.send(), ["a"]);
    desk.answer(a, false, None);

    // When
    assert_eq!(desk.ledger.next_deadline(), Some(desk.now));
    assert!(desk.ledger.look(desk.now));
    assert!(desk.ledger.channel_renewed().is_empty(), "nobody owes an answer");

    // Then it goes on, there
    desk.expire_at(Duration::from_millis(200));
    assert_eq!(desk.send(), ["a"]);
    desk.ack(a);
    assert_eq!(desk.results(), [stored("a")]);
}

#[test]
fn a_suspect_rests_as_well() {
    // Given a publish that was on the wire at two deaths of its channel
    let mut desk = Desk::new();
    let a = desk.accept("q", "a");
    for _ in 0..2 {
        desk.send();
        desk.lose(BrokerErrorKind::Protocol);
    }
    assert_eq!(desk.send(), ["a"]);

    // When it is nacked, then it is not sent at once, and others are
    desk.answer(a, false, None);
    desk.accept("other", "b");
    assert_eq!(desk.send(), ["b"]);
}
