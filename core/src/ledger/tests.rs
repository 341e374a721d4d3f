//! The ledger's promises, one by one, and then all of them at once against a random broker.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::envelope::headers;
use crate::id::JobId;

const FAR: Duration = Duration::from_secs(1_000);

/// A ledger whose waiters are the names of the jobs.
struct Desk {
    ledger: Ledger<String>,
    resolved: Vec<Resolved<String>>,
    now: Duration,
}

impl Desk {
    fn new() -> Self {
        Self::with(Settings {
            window: 100,
            prepare: false,
            redeclare: false,
        })
    }

    fn declaring() -> Self {
        Self::with(Settings {
            window: 100,
            prepare: true,
            redeclare: true,
        })
    }

    fn with(settings: Settings) -> Self {
        Self {
            ledger: Ledger::new(settings),
            resolved: Vec::new(),
            now: Duration::ZERO,
        }
    }

    fn accept(&mut self, queue: &str, id: &str) -> u64 {
        self.accept_until(queue, id, FAR)
    }

    fn accept_until(&mut self, queue: &str, id: &str, deadline: Duration) -> u64 {
        self.accept_for(Arc::from([]), queue, id, deadline)
    }

    fn accept_for(&mut self, declarations: Arc<[Declaration]>, queue: &str, id: &str, deadline: Duration) -> u64 {
        let mut message = Message::default();
        message.properties.message_id = Some(id.into());
        self.ledger.accept(Entry::new(NewEntry {
            id: JobId::new(id).expect("valid"),
            target: Target {
                destination: Destination::queue(queue).into(),
                declarations,
            },
            message,
            deadline,
            waiter: id.to_owned(),
        }))
    }

    /// Sends all that may be sent; tells their ids.
    fn send(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some((_, _, message)) = self.ledger.next_to_send() {
            sent.push(message.properties.message_id.clone().expect("set").into());
        }
        sent
    }

    fn ack(&mut self, tag: u64) {
        self.answer(tag, true, None);
    }

    fn answer(&mut self, tag: u64, acked: bool, returned: Option<&str>) {
        let returned = returned.map(str::to_owned);
        self.ledger
            .answered(Reply { tag, acked, returned }, self.now, &mut self.resolved);
        self.ledger.decide(&mut self.resolved);
    }

    fn expire_at(&mut self, now: Duration) {
        self.now = now;
        self.ledger.expire(now, &mut self.resolved);
    }

    fn lose(&mut self, kind: BrokerErrorKind) {
        self.ledger
            .channel_lost(&BrokerError::new(kind, "gone"), &mut self.resolved);
    }

    fn declare_all(&mut self, result: &Result<(), BrokerError>) -> usize {
        let mut lines = 0;
        while let Some((line, _)) = self.ledger.next_to_declare() {
            lines += 1;
            self.ledger.declared(line, result.clone(), &mut self.resolved);
            if result.is_err() {
                break;
            }
        }
        lines
    }

    fn results(&mut self) -> Vec<(String, Result<(), Fate>)> {
        self.resolved
            .drain(..)
            .map(|resolved| (resolved.waiter, resolved.result))
            .collect()
    }
}

fn stored(id: &str) -> (String, Result<(), Fate>) {
    (id.to_owned(), Ok(()))
}

fn ended(id: &str, fate: Fate) -> (String, Result<(), Fate>) {
    (id.to_owned(), Err(fate))
}

#[test]
fn a_confirmed_publish_is_resolved_once() {
    let mut desk = Desk::new();
    let a = desk.accept("q", "a");
    assert_eq!(desk.send(), ["a"]);
    desk.ack(a);
    desk.ack(a);
    assert_eq!(desk.results(), [stored("a")]);
    assert!(desk.ledger.is_empty());
}

#[test]
fn a_wrong_definition_of_a_queue_is_refused_without_the_right_one() {
    // Given two definitions of one queue
    let definition = |queue: crate::queue::Queue| crate::topology::Topology::new("leveret").work(&queue).declarations;
    let (wrong, right) = (
        definition(crate::queue::Queue::new("q").classic()),
        definition(crate::queue::Queue::new("q")),
    );
    let mut desk = Desk::declaring();
    desk.accept_for(wrong.clone(), "q", "a", FAR);
    desk.accept_for(right.clone(), "q", "b", FAR);
    desk.accept_for(right.clone(), "q", "c", FAR);

    // When the broker knows one of them
    let mismatch = BrokerError::new(BrokerErrorKind::Mismatch, "x-queue-type");
    for _ in 0..2 {
        let (line, declarations) = desk.ledger.next_to_declare().expect("due");
        let result = if declarations == right {
            Ok(())
        } else {
            Err(mismatch.clone())
        };
        desk.ledger.declared(line, result, &mut desk.resolved);
    }

    // Then only the other is refused
    assert_eq!(desk.send(), ["b", "c"]);
    assert_eq!(desk.results(), [ended("a", Fate::Refused(Why::Undeclared(mismatch)))]);
}

#[test]
fn what_was_on_the_wire_is_replayed_first_and_in_order_over_any_number_of_reconnects() {
    let mut desk = Desk::new();
    for id in ["a", "b", "c"] {
        desk.accept("q", id);
    }
    assert_eq!(desk.send(), ["a", "b", "c"]);
    desk.ack(1);
    for _ in 0..20 {
        desk.lose(BrokerErrorKind::Transport);
        desk.accept("q", JobId::random().as_str());
        let sent = desk.send();
        assert_eq!(sent[..2], ["a", "c"]);
    }
    assert_eq!(desk.results(), [stored("b")]);
}

#[test]
fn a_replayed_message_says_that_it_is_one() {
    let mut desk = Desk::new();
    desk.accept("q", "a");
    let resent = |ledger: &mut Ledger<String>| {
        let (_, _, message) = ledger.next_to_send().expect("due");
        message.properties.headers.contains_key(headers::RESENT)
    };
    assert!(!resent(&mut desk.ledger));
    desk.lose(BrokerErrorKind::Transport);
    assert!(resent(&mut desk.ledger));
}

#[test]
fn the_end_of_a_wait_tells_what_was_never_sent_from_what_was() {
    let soon = Duration::from_secs(1);
    let mut desk = Desk::with(Settings {
        window: 1,
        prepare: false,
        redeclare: false,
    });
    let sent = desk.accept_until("q", "sent", soon);
    desk.accept_until("q", "never sent", soon);
    assert_eq!(desk.send(), ["sent"]);

    desk.ledger.expire(soon, &mut desk.resolved);

    assert_eq!(
        desk.results(),
        [ended("sent", Fate::Unknown), ended("never sent", Fate::NotSent)]
    );
    desk.ack(sent);
    desk.lose(BrokerErrorKind::Transport);
    assert_eq!(desk.send(), Vec::<String>::new(), "what was given up is not replayed");
    assert_eq!(desk.results(), []);
}

#[test]
fn a_withdrawn_publish_is_not_sent_but_one_on_the_wire_goes_on() {
    let mut desk = Desk::with(Settings {
        window: 1,
        prepare: false,
        redeclare: false,
    });
    let a = desk.accept("q", "a");
    desk.accept("q", "b");
    desk.send();
    for id in ["a", "b"] {
        desk.ledger.withdraw(|waiter| waiter == id, &mut desk.resolved);
    }
    desk.ack(a);
    assert_eq!(desk.results(), [ended("b", Fate::NotSent), stored("a")]);
}

#[test]
fn an_unroutable_publish_is_refused_at_once_where_nothing_is_declared() {
    let mut desk = Desk::new();
    let a = desk.accept("q", "a");
    desk.send();
    desk.answer(a, true, Some("a"));
    assert_eq!(desk.results(), [ended("a", Fate::Refused(Why::Unroutable))]);
}

#[test]
fn an_unroutable_publish_is_declared_for_and_resent_once_and_nothing_overtakes_it() {
    // Given three jobs on the wire to a queue that is gone, and one to another queue
    let mut desk = Desk::declaring();
    let tags = ["a", "b", "c"].map(|id| desk.accept("q", id));
    desk.accept("other", "x");
    assert_eq!(desk.declare_all(&Ok(())), 2);
    assert_eq!(desk.send(), ["a", "b", "c", "x"]);

    // When they come back one after another, and more is enqueued meanwhile
    desk.accept("q", "d");
    desk.answer(tags[1], true, Some("b"));
    assert_eq!(
        desk.declare_all(&Ok(())),
        0,
        "not while something of the queue is in flight"
    );
    assert_eq!(desk.send(), Vec::<String>::new());
    desk.answer(tags[0], true, Some("a"));
    desk.answer(tags[2], true, None);

    // Then they are sent once more, before the later one, after the queue was declared again
    assert_eq!(desk.declare_all(&Ok(())), 1);
    assert_eq!(desk.send(), ["a", "b", "d"]);
    desk.answer(tags[0], true, Some("a"));
    desk.answer(tags[1], true, None);
    assert_eq!(
        desk.results(),
        [stored("c"), ended("a", Fate::Refused(Why::Unroutable)), stored("b")]
    );
}

#[test]
fn a_refused_declaration_refuses_what_waits_for_it_and_a_lost_one_is_made_again() {
    let mut desk = Desk::declaring();
    desk.accept("q", "a");
    desk.declare_all(&Err(BrokerError::new(BrokerErrorKind::Timeout, "no answer")));
    assert_eq!(desk.results(), []);
    let refusal = BrokerError::new(BrokerErrorKind::Mismatch, "inequivalent arg");
    desk.declare_all(&Err(refusal.clone()));
    assert_eq!(desk.results(), [ended("a", Fate::Refused(Why::Undeclared(refusal)))]);
    desk.accept("q", "b");
    assert_eq!(desk.declare_all(&Ok(())), 1, "somebody may have mended it");
    assert_eq!(desk.send(), ["b"]);
}

#[test]
fn a_publish_that_kills_its_channel_is_found_out_and_the_others_get_through() {
    let mut desk = Desk::new();
    for id in ["a", "killer", "b"] {
        desk.accept("q", id);
    }
    let mut rounds = 0;
    while !desk.ledger.is_empty() {
        rounds += 1;
        assert!(rounds < 20, "jammed");
        let sent = desk.send();
        if sent.iter().any(|id| id == "killer") {
            desk.lose(BrokerErrorKind::Mismatch);
        } else {
            for (tag, id) in [(0, "a"), (2, "b")] {
                if sent.iter().any(|sent| sent == id) {
                    desk.ack(tag);
                }
            }
        }
    }
    let results = desk.results();
    assert!(
        results.contains(&stored("a")) && results.contains(&stored("b")),
        "{results:?}"
    );
    assert!(
        results
            .iter()
            .any(|(id, result)| id == "killer" && matches!(result, Err(Fate::Refused(Why::ClosesChannel(_))))),
        "{results:?}"
    );
}

#[test]
fn lost_connections_make_no_suspects() {
    let mut desk = Desk::new();
    desk.accept("q", "a");
    desk.accept("q", "b");
    for _ in 0..10 {
        assert_eq!(desk.send(), ["a", "b"], "both together, not alone");
        desk.lose(BrokerErrorKind::Transport);
    }
    // Nor do they confirm a suspicion: two deaths of the channel made one, and a third death that is nobody's doing refuses nobody.
    for _ in 0..2 {
        assert_eq!(desk.send(), ["a", "b"]);
        desk.lose(BrokerErrorKind::Protocol);
    }
    assert_eq!(desk.send(), ["a"], "alone now");
    desk.lose(BrokerErrorKind::Transport);
    assert_eq!(desk.send(), ["a"]);
    desk.ack(0);
    assert_eq!(desk.send(), ["b"]);
    desk.ack(1);
    assert_eq!(desk.results(), [stored("a"), stored("b")]);
}

#[test]
fn a_destination_that_does_not_answer_leaves_room_for_others() {
    let mut desk = Desk::with(Settings {
        window: 90,
        prepare: false,
        redeclare: false,
    });
    for number in 0..100 {
        desk.accept("silent", &format!("s{number}"));
    }
    assert_eq!(desk.send().len(), 60, "two thirds of the window");
    for queue in 0..10 {
        for number in 0..100 {
            desk.accept(&format!("silent{queue}"), &format!("s{queue}-{number}"));
        }
    }
    desk.send();
    desk.accept("healthy", "h");
    assert_eq!(desk.send(), ["h"]);
}

#[test]
fn a_destination_that_went_silent_is_probed_one_by_one_until_it_answers() {
    let mut desk = Desk::new();
    let soon = Duration::from_secs(1);
    let first = desk.accept_until("q", "a", soon);
    desk.send();
    desk.ledger.expire(soon, &mut desk.resolved);
    for id in ["b", "c", "d"] {
        desk.accept("q", id);
    }
    assert_eq!(desk.send(), ["b"]);
    desk.ack(first);
    assert_eq!(desk.send(), ["c", "d"]);
}

#[test]
fn a_second_publish_of_an_id_waits_for_the_first() {
    let mut desk = Desk::new();
    let first = desk.accept("q", "same");
    let second = desk.accept("elsewhere", "same");
    assert_eq!(desk.send(), ["same"]);
    desk.ack(first);
    assert_eq!(desk.send(), ["same"]);
    desk.ack(second);
    assert_eq!(desk.results(), [stored("same"), stored("same")]);
}

#[test]
fn closing_resolves_everyone() {
    let mut desk = Desk::with(Settings {
        window: 1,
        prepare: false,
        redeclare: false,
    });
    desk.accept("q", "a");
    desk.accept("q", "b");
    desk.send();
    desk.ledger.close(&mut desk.resolved);
    assert_eq!(desk.results(), [ended("a", Fate::Unknown), ended("b", Fate::NotSent)]);
    assert!(desk.ledger.is_empty() && desk.ledger.next_deadline().is_none());
}

#[test]
fn an_unsent_publish_whose_id_is_on_the_wire_is_not_called_unsent() {
    // Given a first publish that was given up but not answered: its job may yet be stored
    let mut desk = Desk::new();
    let soon = Duration::from_secs(1);
    desk.accept_until("q", "same", soon);
    desk.send();
    desk.ledger.expire(soon, &mut desk.resolved);

    // When a second one under its id is given up as well, held back by the first
    desk.accept_until("q", "same", 2 * soon);
    assert_eq!(desk.send(), Vec::<String>::new());
    desk.ledger.expire(2 * soon, &mut desk.resolved);

    // Then neither says that the job is not in the broker
    assert_eq!(
        desk.results(),
        [ended("same", Fate::Unknown), ended("same", Fate::Unknown)]
    );
}

#[test]
fn a_suspect_that_waits_for_its_declaration_does_not_hold_up_other_queues() {
    // Given a suspect whose queue cannot be declared for now
    let mut desk = Desk::declaring();
    desk.accept("q", "suspect");
    for _ in 0..2 {
        desk.declare_all(&Ok(()));
        assert_eq!(desk.send(), ["suspect"]);
        desk.lose(BrokerErrorKind::Protocol);
    }
    let line = 0;
    desk.ledger.lines.set_gate(line, Gate::Undeclared);
    assert_eq!(desk.ledger.next_to_declare().map(|(at, _)| at), Some(line));

    // When something goes to another queue
    desk.accept("other", "x");
    desk.declare_all(&Ok(()));

    // Then it is sent
    assert_eq!(desk.send(), ["x"]);
}

mod against_a_random_broker;
mod delays;
mod nacks;
mod silence;
