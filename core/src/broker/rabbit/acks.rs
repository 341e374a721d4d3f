//! Which deliveries are out, which are finished, and what to tell the broker of them. Pure.

use std::collections::BTreeMap;

use crate::broker::Settlement;

/// The deliveries of one channel that are not settled at the broker. Never more than the prefetch.
#[derive(Debug, Default)]
pub(super) struct AckBook {
    /// By delivery tag; `Some` when it is finished here and not yet told.
    open: BTreeMap<u64, Option<Settlement>>,
    /// What was finished since the last [`AckBook::take`].
    finished: Vec<u64>,
}

/// One frame to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) tag: u64,
    /// It covers every unsettled delivery up to the tag as well.
    pub(super) multiple: bool,
    pub(super) settlement: Settlement,
}

impl AckBook {
    /// A delivery came.
    pub(super) fn deliver(&mut self, tag: u64) {
        self.open.insert(tag, None);
    }

    /// A delivery is finished. Only the first settlement of a delivery counts.
    pub(super) fn finish(&mut self, tag: u64, settlement: Settlement) {
        if let Some(slot @ None) = self.open.get_mut(&tag) {
            *slot = Some(settlement);
            self.finished.push(tag);
        }
    }

    /// What to tell the broker, to be sent in this order: a receipt for several is right only after those before it.
    pub(super) fn take(&mut self) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        if self.finished.is_empty() {
            return receipts;
        }
        self.take_prefix(&mut receipts);
        for tag in std::mem::take(&mut self.finished) {
            // What went with the prefix is not there any more.
            if let Some(Some(settlement)) = self.open.remove(&tag) {
                receipts.push(Receipt {
                    tag,
                    multiple: false,
                    settlement,
                });
            }
        }
        receipts
    }

    /// The same, but only what goes together; and how many are left.
    pub(super) fn take_together(&mut self) -> (Vec<Receipt>, usize) {
        let mut receipts = Vec::new();
        self.take_prefix(&mut receipts);
        if let Some(last) = receipts.last() {
            self.finished.retain(|tag| *tag > last.tag);
        }
        (receipts, self.finished.len())
    }

    /// Everything finished before the first that is not: one receipt for each run of the same settlement.
    fn take_prefix(&mut self, receipts: &mut Vec<Receipt>) {
        let mut run: Option<Receipt> = None;
        while let Some(first) = self.open.first_entry() {
            let Some(settlement) = *first.get() else { break };
            let (tag, _) = first.remove_entry();
            match &mut run {
                Some(run) if run.settlement == settlement => (run.tag, run.multiple) = (tag, true),
                _ => receipts.extend(run.replace(Receipt {
                    tag,
                    multiple: false,
                    settlement,
                })),
            }
        }
        receipts.extend(run);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::broker::Settlement::{Ack, DeadLetter, Requeue};

    const fn one(tag: u64, settlement: Settlement) -> Receipt {
        Receipt {
            tag,
            multiple: false,
            settlement,
        }
    }

    const fn up_to(tag: u64, settlement: Settlement) -> Receipt {
        Receipt {
            tag,
            multiple: true,
            settlement,
        }
    }

    type Case = (&'static [(u64, Settlement)], &'static [Receipt]);

    #[test]
    fn a_finished_prefix_goes_as_one_and_stragglers_go_alone() {
        const CASES: [Case; 8] = [
            (&[], &[]),
            (&[(1, Ack)], &[one(1, Ack)]),
            (&[(3, Ack)], &[one(3, Ack)]),
            (&[(2, Ack), (1, Ack), (3, Ack)], &[up_to(3, Ack)]),
            (&[(1, Ack), (2, Ack), (5, Ack)], &[up_to(2, Ack), one(5, Ack)]),
            (&[(1, Requeue), (2, Requeue), (3, Requeue)], &[up_to(3, Requeue)]),
            (
                &[(1, Ack), (2, Requeue), (3, Ack), (4, Ack)],
                &[one(1, Ack), one(2, Requeue), up_to(4, Ack)],
            ),
            (
                &[(5, DeadLetter), (4, DeadLetter)],
                &[one(5, DeadLetter), one(4, DeadLetter)],
            ),
        ];
        for (finished, expected) in CASES {
            let mut book = AckBook::default();
            (1..=5).for_each(|tag| book.deliver(tag));
            for &(tag, settlement) in finished {
                book.finish(tag, settlement);
            }
            assert_eq!(book.take(), expected, "{finished:?}");
        }
    }

    #[test]
    fn a_prefix_skips_what_was_told_before() {
        let mut book = AckBook::default();
        (1..=4).for_each(|tag| book.deliver(tag));
        book.finish(2, Requeue);
        assert_eq!(book.take(), [one(2, Requeue)]);

        book.finish(1, Ack);
        book.finish(3, Ack);
        assert_eq!(book.take(), [up_to(3, Ack)]);
        assert_eq!(book.take(), []);
    }

    #[test]
    fn what_is_behind_an_open_one_is_left_until_it_goes_together() {
        let mut book = AckBook::default();
        (1..=6).for_each(|tag| book.deliver(tag));
        for tag in [5, 2, 1, 4] {
            book.finish(tag, Ack);
        }
        assert_eq!(book.take_together(), (vec![up_to(2, Ack)], 2));
        assert_eq!(book.take_together(), (vec![], 2));

        book.finish(3, Ack);
        assert_eq!(book.take_together(), (vec![up_to(5, Ack)], 0));
        book.finish(6, Ack);
        assert_eq!(book.take(), [one(6, Ack)]);
    }

    #[test]
    fn only_the_first_settlement_of_a_delivery_counts() {
        let mut book = AckBook::default();
        book.deliver(1);
        book.finish(1, Ack);
        book.finish(1, DeadLetter);
        book.finish(9, Ack);

        assert_eq!(book.take(), [one(1, Ack)]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Deliver,
        Finish(usize, Settlement),
        Take,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let settlement = prop_oneof![4 => Just(Ack), 1 => Just(Requeue), 1 => Just(DeadLetter)];
        let step = prop_oneof![
            3 => Just(Step::Deliver),
            3 => (any::<prop::sample::Index>(), settlement).prop_map(|(at, how)| Step::Finish(at.index(1000), how)),
            1 => Just(Step::Take),
        ];
        proptest::collection::vec(step, 1..200)
    }

    /// What a broker makes of the receipts: it knows the unsettled deliveries and nothing else.
    #[derive(Default)]
    struct Model {
        unsettled: BTreeMap<u64, Option<Settlement>>,
    }

    impl Model {
        fn receive(&mut self, receipt: Receipt) -> Result<(), TestCaseError> {
            prop_assert!(
                self.unsettled.contains_key(&receipt.tag),
                "unknown delivery tag {}",
                receipt.tag
            );
            let covered = |tag: u64| tag == receipt.tag || (receipt.multiple && tag < receipt.tag);
            let tags: Vec<u64> = self.unsettled.keys().copied().filter(|&tag| covered(tag)).collect();
            for tag in tags {
                prop_assert_eq!(
                    self.unsettled.remove(&tag),
                    Some(Some(receipt.settlement)),
                    "tag {}",
                    tag
                );
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn every_delivery_is_settled_once_and_as_it_was_finished(steps in steps()) {
            let (mut book, mut model, mut next) = (AckBook::default(), Model::default(), 1);
            for step in steps {
                match step {
                    Step::Deliver => {
                        book.deliver(next);
                        model.unsettled.insert(next, None);
                        next += 1;
                    }
                    Step::Finish(at, settlement) => {
                        let running: Vec<u64> =
                            model.unsettled.iter().filter(|(_, how)| how.is_none()).map(|(tag, _)| *tag).collect();
                        if !running.is_empty() {
                            let tag = running[at % running.len()];
                            model.unsettled.insert(tag, Some(settlement));
                            book.finish(tag, settlement);
                        }
                    }
                    Step::Take => {
                        for receipt in book.take() {
                            model.receive(receipt)?;
                        }
                        prop_assert!(model.unsettled.values().all(Option::is_none), "a finished delivery was not told");
                    }
                }
            }
        }
    }
}
