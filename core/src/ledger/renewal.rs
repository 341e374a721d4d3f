//! When a channel has to be replaced though it lives: a destination no longer answers on it ([`quiet`](super::quiet)), or nacks
//! everything ([`nacks`](super::nacks)).

use std::time::Duration;

use super::Ledger;
use crate::envelope::mark_resent;

/// How often the ledger looks at who owes answers, while anybody does.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks once a new channel is due.
const CLOSE_LOOK: Duration = Duration::from_millis(20);
/// How long those who answer get to do so before the channel goes.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The plan for a new channel.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    next_look: Duration,
    /// A new channel is due since then, and nothing is sent until it is there.
    due_since: Option<Duration>,
}

impl Renewal {
    pub(super) fn is_due(&self) -> bool {
        self.due_since.is_some()
    }

    /// A new channel is due from now on.
    pub(super) fn want(&mut self, now: Duration) {
        self.due_since.get_or_insert(now);
        self.next_look = now;
    }
}

impl<W> Ledger<W> {
    /// Looks whether somebody no longer answers. `true`: the channel is to be replaced now, see [`Ledger::channel_renewed`]. Until then
    /// nothing new is sent on it, so that those who do answer lose nothing by the change.
    pub(crate) fn look(&mut self, now: Duration) -> bool {
        if now < self.renewal.next_look {
            return false;
        }
        let too_long = self.lines.look_for_silence(now);
        if too_long {
            self.renewal.want(now);
        }
        let Some(since) = self.renewal.due_since else {
            self.renewal.next_look = now.saturating_add(LOOK);
            return false;
        };
        self.renewal.next_look = now.saturating_add(CLOSE_LOOK);
        self.lines.only_the_quiet_owe(now) || now.saturating_sub(since) >= LAST_ANSWERS
    }

    /// When to [look](Ledger::look) again: never while nothing is on the wire and the channel is fine.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let is_of_use = self.wire.in_flight > 0 || self.renewal.is_due();
        is_of_use.then_some(self.renewal.next_look)
    }

    /// Nobody can answer now: the broker has blocked the connection.
    pub(crate) fn nobody_can_answer(&mut self, now: Duration) {
        self.renewal = Renewal {
            next_look: now.saturating_add(LOOK),
            due_since: None,
        };
        self.lines.forget_silence();
    }

    /// The channel was given up though it lives. What it had not confirmed waits to be sent again. Tells whose answers are missing.
    pub(crate) fn channel_renewed(&mut self) -> Vec<String> {
        let in_flight = self.clear_wire();
        let owing = self.lines.renewed();
        for seq in in_flight {
            self.send_again(seq);
        }
        owing
    }

    /// An entry that may be stored goes back into its line.
    pub(super) fn send_again(&mut self, seq: u64) {
        let Some(entry) = self.entries.get_mut(&seq) else {
            return;
        };
        entry.history.in_flight = false;
        entry.history.ambiguous = true;
        mark_resent(&mut entry.message);
        let line = entry.line;
        self.lines.put(line, seq);
    }
}
