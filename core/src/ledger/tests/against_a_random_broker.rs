//! All promises at once, against a broker that does anything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Accept {
        queue: u8,
        patience: u8,
    },
    Send,
    /// Answers the n-th open publish.
    Answer {
        which: u8,
        how: u8,
    },
    Lose {
        ours: bool,
    },
    Declare {
        ok: bool,
    },
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..3, 1u8..40).prop_map(|(queue, patience)| Step::Accept { queue, patience }),
        6 => Just(Step::Send),
        8 => (any::<u8>(), 0u8..6).prop_map(|(which, how)| Step::Answer { which, how }),
        1 => any::<bool>().prop_map(|ours| Step::Lose { ours }),
        3 => prop::bool::weighted(0.9).prop_map(|ok| Step::Declare { ok }),
        1 => (0u8..5).prop_map(Step::Pass),
    ]
}

#[derive(Default)]
struct World {
    now: u64,
    accepted: usize,
    open: BTreeMap<u64, String>,
    results: BTreeMap<String, Result<(), Fate>>,
    ever_sent: std::collections::BTreeSet<String>,
    first_sent: BTreeMap<String, Vec<usize>>,
}

impl World {
    fn take(&mut self, desk: &mut Desk) {
        for (id, result) in desk.results() {
            if result == Err(Fate::NotSent) {
                // `NotSent` promises that trying again cannot duplicate it.
                assert!(!self.open.values().any(|open| *open == id), "{id} is on the wire");
            }
            assert!(
                self.results.insert(id.clone(), result).is_none(),
                "{id} was resolved twice"
            );
        }
    }

    fn step(&mut self, desk: &mut Desk, step: &Step) {
        match step {
            Step::Accept { queue, patience } => {
                let deadline = Duration::from_secs(self.now + u64::from(*patience));
                desk.accept_until(&format!("q{queue}"), &format!("{}", self.accepted), deadline);
                self.accepted += 1;
            }
            Step::Send => {
                while let Some((tag, destination, message)) = desk.ledger.next_to_send() {
                    let id = String::from(message.properties.message_id.clone().expect("set"));
                    assert!(!self.results.contains_key(&id), "{id} is over");
                    let line = self.first_sent.entry(destination.routing_key.clone()).or_default();
                    if self.ever_sent.insert(id.clone()) {
                        line.push(id.parse().expect("a number"));
                    }
                    assert!(self.open.insert(tag, id).is_none());
                }
            }
            Step::Answer { which, how } => {
                let Some((&tag, id)) = self.open.iter().nth(*which as usize % self.open.len().max(1)) else {
                    return;
                };
                let id = id.clone();
                self.open.remove(&tag);
                match how {
                    0 => desk.answer(tag, false, None),
                    1 => desk.answer(tag, true, Some(&id)),
                    _ => desk.answer(tag, true, None),
                }
            }
            Step::Lose { ours } => {
                self.open.clear();
                desk.lose(if *ours {
                    BrokerErrorKind::Protocol
                } else {
                    BrokerErrorKind::Transport
                });
            }
            Step::Declare { ok } => {
                let failed = Err(BrokerError::new(BrokerErrorKind::Mismatch, "no"));
                desk.declare_all(&if *ok { Ok(()) } else { failed });
            }
            Step::Pass(seconds) => {
                self.now += u64::from(*seconds);
                desk.now = Duration::from_secs(self.now);
                desk.ledger.expire(desk.now, &mut desk.resolved);
                if desk.ledger.look(desk.now) {
                    self.open.clear();
                    desk.ledger.channel_renewed();
                }
            }
        }
        self.take(desk);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn everyone_is_resolved_once_and_first_sends_keep_their_order(
        steps in prop::collection::vec(step(), 1..200),
        redeclare in any::<bool>(),
    ) {
        let mut desk = Desk::with(Settings { window: 8, prepare: redeclare, redeclare });
        let mut world = World::default();
        for step in &steps {
            world.step(&mut desk, step);
            prop_assert!(desk.ledger.in_flight() <= 8 + 3, "one more per destination at the most");
        }
        world.now += 100;
        desk.ledger.expire(Duration::from_secs(world.now), &mut desk.resolved);
        world.take(&mut desk);
        prop_assert_eq!(world.results.len(), world.accepted);
        prop_assert!(desk.ledger.is_empty());
        for line in world.first_sent.values() {
            prop_assert!(line.is_sorted(), "overtaken: {:?}", line);
        }
    }
}
