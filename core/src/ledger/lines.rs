//! One waiting line per destination, and which line may send next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::broker::{Declaration, Destination};

/// Above this many lines, idle ones are forgotten (and declared again at their next use).
const MAX_IDLE_LINES: usize = 4_096;

/// A destination's share of the window is at most this many times what is free. This is the dynamic threshold that switches
/// share their buffers by (Choudhury and Hahne, 1998): one busy destination gets 2/3 of the window, and the first that stops
/// answering leaves a third to the others.
const SHARE_OF_FREE: usize = 2;

/// The publishes for one destination, oldest first; for those of one queue that are delayed, where they all arrive in the end.
#[derive(Debug)]
pub(super) struct Line {
    destination: Destination,
    /// What is declared before the first is sent.
    declarations: Arc<[Declaration]>,
    /// Entries to be sent, by ascending sequence number.
    pub(super) waiting: VecDeque<u64>,
    /// Sent and still awaited.
    pub(super) in_flight: usize,
    /// Sent and given up by their callers, but not yet answered by the broker.
    pub(super) abandoned: usize,
    /// Something was given up, and nothing was answered since: only one at a time is sent, to find out.
    pub(super) silent: bool,
    pub(super) gate: Gate,
}

/// Whether a line may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Its declarations shall be made, once nothing of it is in flight any more: until then nothing may overtake what came back.
    Undeclared,
    /// They are being made.
    Declaring,
}

impl Line {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight == 0 && self.abandoned == 0 && self.gate != Gate::Declaring
    }
}

/// All lines, by a small number that stays with a line as long as anything is in it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Mostly one each: two definitions of a queue are two lines, so that the wrong one is refused without the right one.
    by_destination: BTreeMap<Destination, Vec<usize>>,
    lines: Vec<Option<Line>>,
    free: Vec<usize>,
    /// The oldest waiting entry of each line that has one: the order in which lines are asked.
    heads: BTreeSet<(u64, usize)>,
    /// Lines whose gate is [`Gate::Undeclared`].
    undeclared: BTreeSet<usize>,
}

impl Lines {
    /// The line for a destination; a new one begins `Undeclared` if `declare`.
    pub(super) fn find_or_add(
        &mut self,
        destination: Destination,
        declarations: Arc<[Declaration]>,
        declare: bool,
    ) -> usize {
        let is_same = |at: &&usize| !declare || self.line(**at).declarations == declarations;
        let mut there = self.by_destination.get(&destination).into_iter().flatten();
        if let Some(&at) = there.find(is_same) {
            return at;
        }
        if self.lines.len() - self.free.len() >= MAX_IDLE_LINES {
            self.forget_idle();
        }
        let at = self.free.pop().unwrap_or(self.lines.len());
        if at == self.lines.len() {
            self.lines.push(None);
        }
        self.by_destination.entry(destination.clone()).or_default().push(at);
        let line = Line {
            destination,
            declarations,
            waiting: VecDeque::new(),
            in_flight: 0,
            abandoned: 0,
            silent: false,
            gate: Gate::Open,
        };
        self.lines[at] = Some(line);
        if declare {
            self.set_gate(at, Gate::Undeclared);
        }
        at
    }

    fn forget_idle(&mut self) {
        let Self {
            by_destination,
            lines,
            free,
            undeclared,
            ..
        } = self;
        by_destination.retain(|_, there| {
            there.retain(|at| {
                let idle = lines[*at].as_ref().is_none_or(Line::is_idle);
                if idle {
                    lines[*at] = None;
                    undeclared.remove(at);
                    free.push(*at);
                }
                !idle
            });
            !there.is_empty()
        });
    }

    #[expect(clippy::expect_used, reason = "a line is forgotten only while no entry names it")]
    pub(super) fn line(&self, at: usize) -> &Line {
        self.lines[at].as_ref().expect("an entry's line exists")
    }

    #[expect(clippy::expect_used, reason = "a line is forgotten only while no entry names it")]
    pub(super) fn line_mut(&mut self, at: usize) -> &mut Line {
        self.lines[at].as_mut().expect("an entry's line exists")
    }

    pub(super) fn set_gate(&mut self, at: usize, gate: Gate) {
        self.line_mut(at).gate = gate;
        if gate == Gate::Undeclared {
            self.undeclared.insert(at);
        } else {
            self.undeclared.remove(&at);
        }
    }

    /// Adds an entry to its line, at the place that its age gives it.
    pub(super) fn put(&mut self, at: usize, seq: u64) {
        self.change(at, |waiting| match waiting.back() {
            Some(last) if *last > seq => {
                let place = waiting.partition_point(|waiting| *waiting < seq);
                waiting.insert(place, seq);
            }
            _ => waiting.push_back(seq),
        });
    }

    /// Takes an entry out of its line.
    pub(super) fn take(&mut self, at: usize, seq: u64) {
        self.change(at, |waiting| {
            if let Ok(place) = waiting.binary_search(&seq) {
                waiting.remove(place);
            }
        });
    }

    fn change(&mut self, at: usize, change: impl FnOnce(&mut VecDeque<u64>)) {
        let line = self.line_mut(at);
        let before = line.waiting.front().copied();
        change(&mut line.waiting);
        let after = line.waiting.front().copied();
        if before != after {
            before.map(|seq| self.heads.remove(&(seq, at)));
            after.map(|seq| self.heads.insert((seq, at)));
        }
    }

    /// The oldest waiting entry of each line, oldest first.
    pub(super) fn heads(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.heads.iter().copied()
    }

    /// Whether a line may put one more on the wire, given how much of the window is free. One is always allowed: however
    /// many destinations are silent, none of them keeps another from sending at all.
    pub(super) fn may_send(&self, at: usize, free: usize) -> bool {
        let line = self.line(at);
        let has_share = line.in_flight == 0 || (!line.silent && line.in_flight < SHARE_OF_FREE * free);
        line.gate == Gate::Open && has_share
    }

    /// A line whose declarations are due. It is marked as being declared.
    pub(super) fn next_to_declare(&mut self) -> Option<(usize, Arc<[Declaration]>)> {
        let due = |at: &&usize| {
            let line = self.line(**at);
            line.in_flight == 0 && !line.waiting.is_empty()
        };
        let at = *self.undeclared.iter().find(due)?;
        self.set_gate(at, Gate::Declaring);
        Some((at, Arc::clone(&self.line(at).declarations)))
    }

    /// Nothing is on the wire any more, and no declaration is under way.
    pub(super) fn connection_lost(&mut self) {
        for at in 0..self.lines.len() {
            let Some(line) = &mut self.lines[at] else { continue };
            line.in_flight = 0;
            line.abandoned = 0;
            line.silent = false;
            if line.gate == Gate::Declaring {
                self.set_gate(at, Gate::Undeclared);
            }
        }
    }

    /// Has everything that goes through a named exchange declared again before it is sent.
    pub(super) fn distrust_exchanges(&mut self) {
        for at in 0..self.lines.len() {
            let named = self.lines[at]
                .as_ref()
                .is_some_and(|line| !line.destination.exchange.is_empty());
            if named {
                self.set_gate(at, Gate::Undeclared);
            }
        }
    }
}
