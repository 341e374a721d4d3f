//! One waiting line per destination, and which line may send next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::quiet::Quiet;
use crate::broker::{Declaration, Destination};

/// Above this many lines, idle ones are forgotten (and declared again at their next use).
const MAX_IDLE_LINES: usize = 4_096;

/// A destination's share of the window is at most this many times what is free. This is the dynamic threshold that switches
/// share their buffers by (Choudhury and Hahne, 1998): one busy destination gets 2/3 of the window, and the first that stops
/// answering leaves a third to the others.
const SHARE_OF_FREE: usize = 2;

/// The first pause of a line whose publish was nacked. It doubles with each nack in a row.
const FIRST_REST: Duration = Duration::from_millis(50);
/// The longest such pause.
const MAX_REST: Duration = Duration::from_secs(1);

/// The publishes for one destination, oldest first; for those of one queue that are delayed, where they all arrive in the end.
#[derive(Debug)]
pub(super) struct Line {
    destination: Arc<Destination>,
    /// What is declared before the first is sent.
    declarations: Arc<[Declaration]>,
    /// Entries to be sent, by ascending sequence number.
    pub(super) waiting: VecDeque<u64>,
    /// Sent and still awaited.
    pub(super) in_flight: usize,
    /// Sent and given up by their callers, but not yet answered by the broker.
    pub(super) abandoned: usize,
    /// Something was given up or nacked, and nothing was stored since: only one at a time is sent, to find out.
    pub(super) silent: bool,
    pub(super) quiet: Quiet,
    /// Whether a nack may mean that the queue is full, by its definition. Where it cannot, the broker only is not able to store
    /// right now.
    pub(super) may_be_full: bool,
    pub(super) gate: Gate,
    /// Nothing is sent before then: a publish was nacked.
    rest_until: Option<Duration>,
    /// Nacks since the last ack.
    nacks: u32,
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
    fn new(destination: Arc<Destination>, declarations: Arc<[Declaration]>) -> Self {
        Self {
            may_be_full: may_be_full(&destination, &declarations),
            destination,
            declarations,
            waiting: VecDeque::new(),
            in_flight: 0,
            abandoned: 0,
            silent: false,
            quiet: Quiet::default(),
            gate: Gate::Open,
            rest_until: None,
            nacks: 0,
        }
    }

    /// Whether anything of it may be sent now.
    pub(super) fn is_open(&self) -> bool {
        self.gate == Gate::Open && self.rest_until.is_none()
    }

    /// The broker has answered one of its publishes.
    pub(super) fn heard(&mut self, acked: bool) {
        self.silent = false;
        self.quiet.heard();
        if acked {
            self.nacks = 0;
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.in_flight == 0
            && self.abandoned == 0
            && self.gate != Gate::Declaring
            && self.rest_until.is_none()
    }
}

fn may_be_full(destination: &Destination, declarations: &[Declaration]) -> bool {
    let bounds = |declaration: &Declaration| match declaration {
        Declaration::Queue(queue) => {
            queue.name == destination.routing_key && queue.arguments.contains_key("x-max-length")
        }
        _ => false,
    };
    destination.exchange.is_empty() && declarations.iter().any(bounds)
}

/// All lines, by a small number that stays with a line as long as anything is in it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Mostly one each: two definitions of a queue are two lines, so that the wrong one is refused without the right one.
    by_destination: BTreeMap<Arc<Destination>, Vec<usize>>,
    lines: Vec<Option<Line>>,
    free: Vec<usize>,
    /// The oldest waiting entry of each line that has one: the order in which lines are asked.
    heads: BTreeSet<(u64, usize)>,
    /// Lines whose gate is [`Gate::Undeclared`].
    undeclared: BTreeSet<usize>,
    /// When the lines that rest may send again.
    resting: BTreeSet<(Duration, usize)>,
}

impl Lines {
    /// The line for a destination; a new one begins `Undeclared` if `declare`.
    pub(super) fn find_or_add(
        &mut self,
        destination: Arc<Destination>,
        declarations: &Arc<[Declaration]>,
        declare: bool,
    ) -> usize {
        let is_same = |at: &&usize| {
            let there = &self.line(**at).declarations;
            // Mostly they are the very same: a queue's are worked out once.
            !declare || Arc::ptr_eq(there, declarations) || there == declarations
        };
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
        self.lines[at] = Some(Line::new(destination, Arc::clone(declarations)));
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
        line.is_open() && has_share
    }

    /// A publish of the line was nacked though its queue has no limit: the next try comes later. `true`: it should be on another channel.
    pub(super) fn rest(&mut self, at: usize, now: Duration) -> bool {
        let line = self.line_mut(at);
        // One at a time until one is stored: a queue that cannot store one can store none.
        line.silent = true;
        if line.rest_until.is_some() {
            return false;
        }
        let rest = FIRST_REST.saturating_mul(1 << line.nacks.min(8)).min(MAX_REST);
        line.nacks = line.nacks.saturating_add(1);
        let until = now.saturating_add(rest);
        line.rest_until = Some(until);
        let (nacks, first) = (line.nacks, 2);
        self.resting.insert((until, at));
        // At the second, the fourth, the eighth …: a queue that is full by a policy must not cost the others much.
        nacks >= first && nacks.is_power_of_two()
    }

    /// Lets the lines go on that have rested.
    pub(super) fn wake_rested(&mut self, now: Duration) {
        while let Some(&(until, at)) = self.resting.first() {
            if until > now {
                break;
            }
            self.resting.pop_first();
            self.line_mut(at).rest_until = None;
        }
    }

    /// When the next line has rested.
    pub(super) fn next_rested(&self) -> Option<Duration> {
        self.resting.first().map(|(until, _)| *until)
    }

    /// Looks at who owes answers. `true`: somebody has for too long.
    pub(super) fn look_for_silence(&mut self, now: Duration) -> bool {
        let mut too_long = false;
        for line in self.lines.iter_mut().flatten() {
            if line.in_flight > 0 {
                too_long |= line.quiet.owes(now);
            } else {
                line.quiet.forget();
            }
        }
        too_long
    }

    /// What was silent until now says nothing: nobody was asked.
    pub(super) fn forget_silence(&mut self) {
        for line in self.lines.iter_mut().flatten() {
            line.quiet.forget();
        }
    }

    /// Whether all who owe answers have done so for a while, so that a new channel costs nobody else anything.
    pub(super) fn only_the_quiet_owe(&self, now: Duration) -> bool {
        let mut owing = self.lines.iter().flatten().filter(|line| line.in_flight > 0);
        owing.all(|line| line.quiet.is_quiet(now))
    }

    /// A new channel is made for those who owe answers: each is asked one thing at a time until it answers. Tells who they are.
    pub(super) fn renewed(&mut self) -> Vec<String> {
        let mut owing = Vec::new();
        for line in self.lines.iter_mut().flatten() {
            if line.in_flight > 0 {
                line.quiet.renewed();
                line.silent = true;
                owing.push(line.destination.routing_key.clone());
            }
            line.in_flight = 0;
            line.abandoned = 0;
        }
        owing
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
            line.quiet = Quiet::default();
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
