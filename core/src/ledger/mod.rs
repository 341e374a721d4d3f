//! The ledger: every publish that was accepted and is not yet resolved. It lives above the connection and survives any number of
//! them. Pure: values in, values out; time is an input, and the caller does the sending.
//!
//! Invariant: an accepted entry leaves the ledger exactly once, as [`Resolved`].
//! Invariant: per destination, entries are first sent in the order of acceptance, and after a loss what was on the wire goes
//! first, in that same order.

mod entry;
mod lines;
mod nacks;
mod quiet;
mod renewal;
mod returns;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use entry::History;
pub(crate) use entry::{Entry, NewEntry, Resolved};
pub use entry::{Fate, Target, Why};
use lines::{Gate, Lines};
use renewal::Renewal;
use returns::{Decision, Returns};

use crate::broker::{BrokerError, BrokerErrorKind, Declaration, Destination};
use crate::id::JobId;
use crate::message::Message;

/// After this many channel deaths an entry is sent alone: if the channel dies once more, it is the cause.
const DEATHS_BEFORE_ALONE: u8 = 2;

/// What a ledger is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// How many publishes may be on the wire at once.
    pub(crate) window: usize,
    /// Whether destinations are declared or verified before their first message. Those of delayed jobs always are.
    pub(crate) prepare: bool,
    /// Whether a destination is declared once more for a message that came back.
    pub(crate) redeclare: bool,
}

/// The publishes not yet resolved. `W` is whatever the caller wants back with each result.
#[derive(Debug)]
pub(crate) struct Ledger<W> {
    settings: Settings,
    entries: BTreeMap<u64, Box<Entry<W>>>,
    next_seq: u64,
    lines: Lines,
    returns: Returns,
    /// Empty but within [`Ledger::decide`], which uses its memory again.
    decided: Vec<(u64, Decision)>,
    wire: Wire,
    deadlines: BTreeSet<(Duration, u64)>,
    renewal: Renewal,
    /// The time since the Unix epoch, as it was last told.
    date: Duration,
}

/// What the broker says to a publish.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) tag: u64,
    pub(crate) acked: bool,
    /// The id of the returned message that came with it, of this publish or of another.
    pub(crate) returned: Option<String>,
}

/// What is on the wire of the present channel.
#[derive(Debug, Default)]
struct Wire {
    /// How many entries are sent and still awaited: those whose history says `in_flight`.
    in_flight: usize,
    /// Sent, unanswered, but given up by their callers: tag → line and id.
    abandoned: BTreeMap<u64, (usize, JobId)>,
    /// The ids of both. A second publish of an id waits its turn, or a return could not be told apart.
    ids: HashSet<JobId>,
    /// Entries suspected of killing channels; they are sent alone.
    suspects: BTreeSet<u64>,
}

impl<W> Ledger<W> {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            entries: BTreeMap::new(),
            next_seq: 0,
            lines: Lines::default(),
            returns: Returns::default(),
            decided: Vec::new(),
            wire: Wire::default(),
            deadlines: BTreeSet::new(),
            renewal: Renewal::default(),
            date: Duration::ZERO,
        }
    }

    /// Tells the time since the Unix epoch, by which delayed jobs are sent.
    pub(crate) fn tell_date(&mut self, date: Duration) {
        self.date = date;
    }

    /// Takes responsibility for a publish. The number returned names it from now on, as tag too.
    pub(crate) fn accept(&mut self, mut entry: Box<Entry<W>>) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let course = &entry.course;
        // Where a delayed job arrives nobody awaits it: whether it can is asked before, in any case.
        let prepare = self.settings.prepare || course.is_delayed();
        entry.line = self.lines.find_or_add(course.line(), &entry.declarations, prepare);
        self.lines.put(entry.line, seq);
        self.deadlines.insert((entry.deadline, seq));
        self.entries.insert(seq, entry);
        seq
    }

    /// The next entry to put on the wire; it counts as sent from here on.
    pub(crate) fn next_to_send(&mut self) -> Option<(u64, &Destination, &Message)> {
        if self.renewal.is_due() {
            return None;
        }
        let (seq, line) = match self.next_suspect() {
            // It is sent alone, so it waits until the wire is empty, and everything else waits for it.
            Some(suspect) => (self.wire.in_flight == 0).then_some(suspect)?,
            None => self.oldest_sendable()?,
        };
        self.lines.take(line, seq);
        self.lines.line_mut(line).in_flight += 1;
        self.wire.in_flight += 1;
        let entry = self.entries.get_mut(&seq)?;
        self.wire.ids.insert(entry.id.clone());
        entry.history.in_flight = true;
        entry.history.sent = true;
        entry.history.nacked = false;
        self.returns.published(seq, entry.id.clone());
        entry.course.find(self.date);
        Some((seq, &entry.course.destination, &entry.message))
    }

    fn oldest_sendable(&self) -> Option<(u64, usize)> {
        let free = self.settings.window.saturating_sub(self.wire.in_flight);
        self.lines
            .heads()
            .find(|(seq, line)| self.lines.may_send(*line, free) && self.id_is_free(*seq))
    }

    /// The head of the line of the oldest suspect that may be sent at all.
    fn next_suspect(&self) -> Option<(u64, usize)> {
        let open = |line: usize| self.lines.line(line).is_open();
        let lines = self
            .wire
            .suspects
            .iter()
            .filter_map(|seq| self.entries.get(seq))
            .map(|entry| entry.line);
        lines.filter(|line| open(*line)).find_map(|line| {
            let head = *self.lines.line(line).waiting.front()?;
            self.id_is_free(head).then_some((head, line))
        })
    }

    fn id_is_free(&self, seq: u64) -> bool {
        self.entries
            .get(&seq)
            .is_some_and(|entry| !self.wire.ids.contains(&entry.id))
    }

    /// The caller found that a publish cannot be put on the wire at all.
    pub(crate) fn unsendable(&mut self, seq: u64, error: &BrokerError, resolved: &mut Vec<Resolved<W>>) {
        self.returns.forget(seq);
        self.refuse(seq, Why::Unsendable(error.to_string()), resolved);
    }

    /// Notes an answer of the broker. What it means may show only in [`Ledger::decide`].
    pub(crate) fn answered(&mut self, reply: Reply, now: Duration, resolved: &mut Vec<Resolved<W>>) {
        let Reply { tag, acked, returned } = reply;
        let line = self.entries.get(&tag).map(|entry| entry.line);
        if let Some(line) = line.or_else(|| self.wire.abandoned.get(&tag).map(|(line, _)| *line)) {
            self.lines.line_mut(line).heard(acked);
        }
        let decision = self.returns.answered(tag, acked, returned);
        if decision == Some(Decision::Nacked) {
            self.nacked(tag, now, resolved);
        }
    }

    /// Decides the answers noted so far, to be called when every answer received has been noted.
    pub(crate) fn decide(&mut self, resolved: &mut Vec<Resolved<W>>) {
        let mut decided = std::mem::take(&mut self.decided);
        self.returns.decide(&mut decided);
        for (seq, decision) in decided.drain(..) {
            match decision {
                Decision::Stored => self.resolve(seq, |_| Ok(()), resolved),
                // A nack is decided at once, when it comes.
                Decision::Nacked => {}
                Decision::Returned => self.returned(seq, resolved),
            }
        }
        self.decided = decided;
    }

    /// An unroutable publish: its line is closed until its destination was declared once more, unless that has been tried.
    fn returned(&mut self, seq: u64, resolved: &mut Vec<Resolved<W>>) {
        let Some(entry) = self.entries.get_mut(&seq) else {
            return self.off_the_wire(seq);
        };
        if !self.settings.redeclare || entry.history.redeclared {
            return self.refuse(seq, Why::Unroutable, resolved);
        }
        entry.history.redeclared = true;
        // What came back is not stored, so unless an earlier copy is in doubt it counts as never sent.
        entry.history.sent = entry.history.ambiguous;
        let line = entry.line;
        self.off_the_wire(seq);
        self.lines.put(line, seq);
        if self.lines.line(line).gate == Gate::Open {
            self.lines.set_gate(line, Gate::Undeclared);
        }
    }

    /// Declarations that are due, by the number of their line.
    pub(crate) fn next_to_declare(&mut self) -> Option<(usize, Arc<[Declaration]>)> {
        self.lines.next_to_declare()
    }

    /// How declarations ended. A refused declaration refuses what waits for it; a lost one is due again.
    pub(crate) fn declared(&mut self, line: usize, result: Result<(), BrokerError>, resolved: &mut Vec<Resolved<W>>) {
        if self.lines.line(line).gate != Gate::Declaring {
            return;
        }
        match result {
            Ok(()) => self.lines.set_gate(line, Gate::Open),
            Err(error) if error.needs_a_person() => {
                let waiting: Vec<u64> = self.lines.line(line).waiting.iter().copied().collect();
                for seq in waiting {
                    self.refuse(seq, Why::Undeclared(error.clone()), resolved);
                }
                self.lines.set_gate(line, Gate::Undeclared);
            }
            Err(_) => self.lines.set_gate(line, Gate::Undeclared),
        }
    }

    /// The channel is gone, and every answer that it still owed. All that was on the wire waits to be sent again.
    pub(crate) fn channel_lost(&mut self, cause: &BrokerError, resolved: &mut Vec<Resolved<W>>) {
        let in_flight = self.clear_wire();
        self.lines.connection_lost();
        let alone = in_flight.len() == 1;
        for seq in in_flight {
            self.survived_a_channel(seq, cause, alone, resolved);
        }
        if cause.kind() == BrokerErrorKind::NotFound && self.settings.redeclare {
            self.lines.distrust_exchanges();
        }
    }

    /// Forgets the channel. What was in flight is told, oldest first.
    fn clear_wire(&mut self) -> Vec<u64> {
        let wire = std::mem::take(&mut self.wire);
        self.wire.suspects = wire.suspects;
        self.returns = Returns::default();
        self.renewal = Renewal::default();
        let in_flight = self.entries.iter().filter(|(_, entry)| entry.history.in_flight);
        in_flight.map(|(seq, _)| *seq).collect()
    }

    fn survived_a_channel(&mut self, seq: u64, cause: &BrokerError, alone: bool, resolved: &mut Vec<Resolved<W>>) {
        let Some(entry) = self.entries.get_mut(&seq) else {
            return;
        };
        entry.history.in_flight = false;
        if cause.is_our_doing() {
            if alone && entry.history.deaths >= DEATHS_BEFORE_ALONE {
                // It was the only one on the wire: it is the killer, and a killer was not stored.
                entry.history.ambiguous = false;
                return self.refuse(seq, Why::ClosesChannel(cause.clone()), resolved);
            }
            entry.history.deaths = entry.history.deaths.saturating_add(1);
            if entry.history.deaths >= DEATHS_BEFORE_ALONE {
                self.wire.suspects.insert(seq);
            }
        }
        self.send_again(seq);
    }

    /// Ends the wait of every caller whose time is over, and the rest of every line that has rested.
    pub(crate) fn expire(&mut self, now: Duration, resolved: &mut Vec<Resolved<W>>) {
        self.lines.wake_rested(now);
        while let Some(&(deadline, seq)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.give_up(seq, resolved);
        }
    }

    /// When there is next something to do without any event: a wait that ends, a line that has rested, a look at who is silent.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        let times = [deadline, self.lines.next_rested(), self.next_look()];
        times.into_iter().flatten().min()
    }

    /// Takes a publish back, if it was never sent. Looks at every entry: it is needed only where a connection was lost.
    pub(crate) fn withdraw(&mut self, is_it: impl Fn(&W) -> bool, resolved: &mut Vec<Resolved<W>>) {
        let found = self.entries.iter().find(|(_, entry)| is_it(&entry.waiter));
        if let Some((&seq, entry)) = found
            && !entry.history.sent
        {
            self.give_up(seq, resolved);
        }
    }

    /// Ends every wait: nothing will be sent any more.
    pub(crate) fn close(&mut self, resolved: &mut Vec<Resolved<W>>) {
        for seq in self.entries.keys().copied().collect::<Vec<_>>() {
            self.give_up(seq, resolved);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many publishes are on the wire and still awaited.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        self.wire.in_flight
    }

    /// A caller stops waiting. What is on the wire stays there as abandoned: its answer must still be told from others.
    fn give_up(&mut self, seq: u64, resolved: &mut Vec<Resolved<W>>) {
        let Some(entry) = self.entries.get(&seq) else { return };
        let (line, in_flight, id) = (entry.line, entry.history.in_flight, entry.id.clone());
        // Sent or not: while another publish of the same id is on the wire, nobody can say that the job is not in the broker.
        let in_doubt = !in_flight && self.wire.ids.contains(&id);
        let fate = |history: &History| if in_doubt { Fate::Unknown } else { history.given_up() };
        self.resolve(seq, |history| Err(fate(history)), resolved);
        if in_flight {
            let line_of_it = self.lines.line_mut(line);
            line_of_it.abandoned += 1;
            line_of_it.silent = true;
            self.wire.ids.insert(id.clone());
            self.wire.abandoned.insert(seq, (line, id));
        }
    }

    fn refuse(&mut self, seq: u64, why: Why, resolved: &mut Vec<Resolved<W>>) {
        self.resolve(seq, |history| Err(history.refused(why)), resolved);
    }

    /// Takes an entry out of the ledger, wherever it is, and tells how it ended.
    fn resolve(
        &mut self,
        seq: u64,
        result: impl FnOnce(&History) -> Result<(), Fate>,
        resolved: &mut Vec<Resolved<W>>,
    ) {
        self.off_the_wire(seq);
        let Some(entry) = self.entries.remove(&seq) else { return };
        self.lines.take(entry.line, seq);
        self.wire.suspects.remove(&seq);
        self.deadlines.remove(&(entry.deadline, seq));
        resolved.push(Resolved {
            result: result(&entry.history),
            waiter: entry.waiter,
        });
    }

    fn off_the_wire(&mut self, seq: u64) {
        if let Some((line, id)) = self.wire.abandoned.remove(&seq) {
            self.wire.ids.remove(&id);
            let line = self.lines.line_mut(line);
            line.abandoned -= 1;
            return;
        }
        if let Some(entry) = self.entries.get_mut(&seq).filter(|entry| entry.history.in_flight) {
            entry.history.in_flight = false;
            self.wire.in_flight -= 1;
            self.wire.ids.remove(&entry.id);
            let line = self.lines.line_mut(entry.line);
            line.in_flight -= 1;
        }
    }
}
