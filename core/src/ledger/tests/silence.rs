//! Destinations that stop answering while the channel lives.

use super::*;

impl Desk {
    /// Looks each second from now on, until a new channel is due or `until` has come.
    fn look_until(&mut self, until: u64) -> bool {
        while self.now <= Duration::from_secs(until) {
            if self.ledger.look(self.now) {
                return true;
            }
            self.now += Duration::from_millis(100);
        }
        false
    }
}

#[test]
fn a_destination_that_never_answers_gets_a_new_channel_and_is_asked_one_thing_at_a_time() {
    // Given a destination that owes two answers, and another that has given its own
    let mut desk = Desk::new();
    let (a, b) = (desk.accept("dumb", "a"), desk.accept("dumb", "b"));
    let c = desk.accept("fine", "c");
    assert_eq!(desk.send(), ["a", "b", "c"]);
    desk.ack(c);

    // When five seconds have passed, and the channel is replaced
    assert!(!desk.look_until(4));
    assert!(desk.look_until(6));
    assert_eq!(desk.ledger.channel_renewed(), ["dumb"]);

    // Then the first is sent again, and the second once the first is answered
    assert_eq!(desk.send(), ["a"]);
    desk.ack(a);
    assert_eq!(desk.send(), ["b"]);
    desk.ack(b);
    assert_eq!(desk.results(), [stored("c"), stored("a"), stored("b")]);
}

#[test]
fn while_a_new_channel_is_due_nothing_is_sent_and_whoever_answers_may_finish() {
    // Given a silent destination, and one that answers
    let mut desk = Desk::new();
    desk.accept("dumb", "a");
    desk.send();
    assert!(!desk.look_until(4));
    let b = desk.accept("fine", "b");
    assert_eq!(desk.send(), ["b"]);

    // When a new channel is due
    desk.now = Duration::from_secs(6);
    assert!(!desk.ledger.look(desk.now), "the other still owes an answer");
    desk.accept("fine", "c");

    // Then nothing is sent on the old one, which goes as soon as the other has answered
    assert!(desk.send().is_empty());
    desk.ack(b);
    desk.now += Duration::from_millis(100);
    assert!(desk.ledger.look(desk.now));
    desk.ledger.channel_renewed();
    assert_eq!(desk.send(), ["a", "c"]);
    assert_eq!(desk.results(), [stored("b")]);
}

#[test]
fn whoever_answers_now_and_then_keeps_the_channel() {
    let mut desk = Desk::new();
    for second in 0..60 {
        let a = desk.accept("slow", &second.to_string());
        desk.accept("slow", &format!("late {second}"));
        desk.send();
        desk.ack(a);
        assert!(!desk.look_until(second), "{second}");
    }
}

#[test]
fn nobody_is_silent_while_the_broker_blocks_the_connection() {
    let mut desk = Desk::new();
    desk.accept("q", "a");
    desk.send();
    for _ in 0..60 {
        assert!(!desk.ledger.look(desk.now));
        desk.ledger.nobody_can_answer(desk.now);
        desk.now += Duration::from_secs(1);
    }
}

#[test]
fn nobody_looks_while_nothing_is_on_the_wire() {
    let mut desk = Desk::new();
    let a = desk.accept("q", "a");
    desk.send();
    assert!(desk.ledger.next_deadline().is_some_and(|next| next < FAR));
    desk.ack(a);
    assert_eq!(desk.ledger.next_deadline(), None);
}
