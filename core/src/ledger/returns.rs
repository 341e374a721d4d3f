//! Which publish was returned?
//!
//! A `basic.return` names no publish, and the client library attaches the oldest waiting return to whichever confirm completes
//! next. The ids in the returned messages and the order of completion are enough to tell all the same. Returned messages wait
//! in a FIFO inside the client; each confirm that completes takes its front; and the broker sends a return before the
//! confirm of the same publish. So, after all confirms that have completed were read:
//!
//! - acked with nothing attached: the FIFO was empty, its own return (if any) is among those already read;
//! - acked with its own return: unroutable;
//! - acked with a stranger's: the stranger is unroutable, and this one is open until its own return is read, until a
//!   confirm read later had nothing attached, or until everything that was in flight then has been answered.
//!
//! Tried with 400,000 mandatory publishes, a quarter of them unroutable: no wrong verdict.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::JobId;

/// What an answer turned out to mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Stored,
    Returned,
    Nacked,
}

/// The publishes of one channel whose meaning is open.
#[derive(Debug, Default)]
pub(super) struct Returns {
    /// Publishes without an answer: tag → its place in publishing order, and its id.
    outstanding: BTreeMap<u64, (u64, JobId)>,
    /// The places of `outstanding`, to find the oldest.
    places: BTreeSet<u64>,
    next_place: u64,
    /// Ids read from returned messages whose publish is not decided.
    returned: BTreeSet<String>,
    /// Answers of this batch, in the order read.
    batch: Vec<Acked>,
    /// A confirm of this batch had no return attached.
    fifo_was_empty: bool,
    /// Acked with a stranger's return attached, in earlier batches.
    open: Vec<Acked>,
}

#[derive(Debug)]
struct Acked {
    tag: u64,
    id: JobId,
    /// `Some(place)`: everything published before that place was possibly in flight at the moment of the ack.
    stranger: Option<u64>,
}

impl Returns {
    pub(super) fn published(&mut self, tag: u64, id: JobId) {
        let place = self.next_place;
        self.next_place += 1;
        self.outstanding.insert(tag, (place, id));
        self.places.insert(place);
    }

    /// Notes one answer. A nack needs no further evidence, so its decision comes at once.
    pub(super) fn answered(&mut self, tag: u64, acked: bool, returned: Option<String>) -> Option<Decision> {
        let (place, id) = self.outstanding.remove(&tag)?;
        self.places.remove(&place);
        self.fifo_was_empty |= returned.is_none();
        let stranger = returned
            .as_ref()
            .is_some_and(|returned| *returned != id.as_str())
            .then_some(self.next_place);
        self.returned.extend(returned);
        if !acked {
            self.returned.remove(id.as_str());
            return Some(Decision::Nacked);
        }
        self.batch.push(Acked { tag, id, stranger });
        None
    }

    /// A publish was never sent after all: nothing is learnt from it.
    pub(super) fn forget(&mut self, tag: u64) {
        if let Some((place, _)) = self.outstanding.remove(&tag) {
            self.places.remove(&place);
        }
    }

    /// Decides what can be decided, to be called when all completed confirms have been read.
    pub(super) fn decide(&mut self, decided: &mut Vec<(u64, Decision)>) {
        let oldest = self.places.first().copied().unwrap_or(self.next_place);
        for acked in std::mem::take(&mut self.open) {
            let waited_enough = self.fifo_was_empty || acked.stranger.is_none_or(|place| oldest >= place);
            self.judge(acked, waited_enough, decided);
        }
        let mut batch = std::mem::take(&mut self.batch);
        for acked in batch.drain(..) {
            let waited_enough = acked.stranger.is_none_or(|place| oldest >= place);
            self.judge(acked, waited_enough, decided);
        }
        // It may be large, and the next will be as large.
        self.batch = batch;
        self.fifo_was_empty = false;
    }

    fn judge(&mut self, acked: Acked, waited_enough: bool, decided: &mut Vec<(u64, Decision)>) {
        if self.returned.remove(acked.id.as_str()) {
            decided.push((acked.tag, Decision::Returned));
        } else if waited_enough {
            decided.push((acked.tag, Decision::Stored));
        } else {
            self.open.push(acked);
        }
    }

    /// Answers and publishes whose meaning is open.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.outstanding.len() + self.batch.len() + self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{Nacked, Returned, Stored};

    fn decided(returns: &mut Returns) -> Vec<(u64, Decision)> {
        let mut decided = Vec::new();
        returns.decide(&mut decided);
        decided
    }

    fn with_published(ids: &[&str]) -> Returns {
        let mut returns = Returns::default();
        for (tag, id) in (0u64..).zip(ids) {
            returns.published(tag, JobId::new(*id).expect("an id"));
        }
        returns
    }

    #[test]
    fn an_ack_with_nothing_attached_is_stored() {
        let mut returns = with_published(&["a"]);
        returns.answered(0, true, None);
        assert_eq!(decided(&mut returns), [(0, Stored)]);
    }

    #[test]
    fn an_ack_with_its_own_return_is_unroutable() {
        let mut returns = with_published(&["a"]);
        returns.answered(0, true, Some("a".into()));
        assert_eq!(decided(&mut returns), [(0, Returned)]);
    }

    #[test]
    fn what_was_never_sent_says_nothing_of_what_was() {
        // Given an ack with a stranger's return attached, and one more return in the client's queue
        let mut returns = with_published(&["a", "b", "c", "unsendable"]);
        returns.answered(0, true, Some("b".into()));
        assert_eq!(decided(&mut returns), []);

        // When a publish turns out never to have been sent
        returns.forget(3);
        returns.answered(1, true, Some("c".into()));

        // Then the first one is still open, until its own return is read
        assert_eq!(decided(&mut returns), [(1, Returned)]);
        returns.answered(2, true, Some("a".into()));
        assert_eq!(decided(&mut returns), [(0, Returned), (2, Returned)]);
    }

    #[test]
    fn a_return_that_came_on_an_earlier_confirm_is_remembered() {
        let mut returns = with_published(&["routed", "lost"]);
        returns.answered(0, true, Some("lost".into()));
        assert_eq!(decided(&mut returns), [], "its own return could still follow");
        returns.answered(1, true, None);
        assert_eq!(decided(&mut returns), [(0, Stored), (1, Returned)]);
    }

    #[test]
    fn two_swapped_returns_are_told_apart() {
        let mut returns = with_published(&["x", "y"]);
        returns.answered(0, true, Some("y".into()));
        returns.answered(1, true, Some("x".into()));
        assert_eq!(decided(&mut returns), [(0, Returned), (1, Returned)]);
    }

    #[test]
    fn a_return_on_a_nack_counts() {
        let mut returns = with_published(&["full", "lost"]);
        assert_eq!(returns.answered(0, false, Some("lost".into())), Some(Nacked));
        returns.answered(1, true, None);
        assert_eq!(decided(&mut returns), [(1, Returned)]);
    }

    #[test]
    fn a_strangers_return_leaves_an_ack_open_until_all_that_was_in_flight_is_answered() {
        let mut returns = with_published(&["a", "b", "c", "d"]);
        returns.answered(0, true, Some("c".into()));
        assert_eq!(decided(&mut returns), []);
        returns.answered(1, true, Some("b".into()));
        assert_eq!(decided(&mut returns), [(1, Returned)]);
        returns.answered(3, true, Some("d".into()));
        assert_eq!(decided(&mut returns), [(3, Returned)], "c is still in flight");
        returns.answered(2, false, None);
        assert_eq!(decided(&mut returns), [(0, Stored)]);
        assert_eq!(returns.len(), 0);
    }

    #[test]
    fn a_destination_that_never_answers_does_not_keep_others_open() {
        let mut returns = with_published(&["silent", "a", "lost", "later"]);
        returns.answered(1, true, Some("lost".into()));
        assert_eq!(decided(&mut returns), []);
        returns.answered(2, true, None);
        assert_eq!(decided(&mut returns), [(1, Stored), (2, Returned)]);
        assert_eq!(returns.len(), 2);
    }
}

#[cfg(test)]
mod properties {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// The client library as described at the top: confirms complete in any order that keeps each return before the
    /// confirm of its own publish, and each takes the front of the FIFO.
    fn run(fates: &[Decision], order: &[usize], batches: &[usize]) -> BTreeMap<u64, Decision> {
        let mut returns = Returns::default();
        for tag in 0..fates.len() {
            returns.published(tag as u64, JobId::new(format!("id{tag}")).expect("an id"));
        }
        let mut decided = BTreeMap::new();
        let mut batch = Vec::new();
        let mut fifo: VecDeque<String> = VecDeque::new();
        // The broker answers in order of the returns; here every return of a batch arrives before its confirms.
        let mut arrived = vec![false; fates.len()];
        for (at, &tag) in order.iter().enumerate() {
            for &other in &order[at..(at + batches[at]).min(order.len())] {
                if fates[other] == Decision::Returned && !std::mem::replace(&mut arrived[other], true) {
                    fifo.push_back(format!("id{other}"));
                }
            }
            let now = returns.answered(tag as u64, fates[tag] != Decision::Nacked, fifo.pop_front());
            decided.extend(now.map(|decision| (tag as u64, decision)));
            if batches[at].is_multiple_of(3) {
                returns.decide(&mut batch);
            }
        }
        returns.decide(&mut batch);
        decided.extend(batch);
        assert_eq!(returns.len(), 0);
        decided
    }

    proptest! {
        #[test]
        fn whatever_the_pairing_each_publish_gets_its_own_verdict(
            (fates, order, batches) in (1usize..60).prop_flat_map(|n| (
                proptest::collection::vec(prop_oneof![
                    4 => Just(Decision::Stored), 2 => Just(Decision::Returned), 1 => Just(Decision::Nacked)
                ], n),
                Just((0..n).collect::<Vec<_>>()).prop_shuffle(),
                proptest::collection::vec(1usize..12, n),
            ))
        ) {
            let decided = run(&fates, &order, &batches);
            for (tag, fate) in fates.iter().enumerate() {
                prop_assert_eq!(decided.get(&(tag as u64)), Some(fate));
            }
        }
    }
}
