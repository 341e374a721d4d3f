//! What a nack comes to.
//!
//! A quorum queue nacks while it has no leader. On RabbitMQ 3.10.8 it is worse: a channel whose first publish to the queue comes before
//! the new leader is known asks the dead one for ever, and nacks all that is published on it. So what is nacked again is tried on
//! another channel.

use std::time::Duration;

use super::{Ledger, Resolved, Why};
use crate::envelope::mark_resent;

/// How long the publish of a queue without a limit is tried again after its first nack. A quorum queue nacks while it has no leader; an
/// election takes less.
const PATIENCE: Duration = Duration::from_secs(10);

impl<W> Ledger<W> {
    /// A queue that may be full refuses for good. Any other cannot store right now: the publish is tried again for a while, and the
    /// later ones of its line wait for it.
    pub(super) fn nacked(&mut self, seq: u64, now: Duration, resolved: &mut Vec<Resolved<W>>) {
        let Some(entry) = self.entries.get_mut(&seq) else {
            return self.off_the_wire(seq);
        };
        let line = entry.line;
        let first = *entry.history.first_nack.get_or_insert(now);
        let is_final = now.saturating_sub(first) >= PATIENCE || self.lines.line(line).may_be_full;
        if is_final {
            return self.refuse(seq, Why::Nacked, resolved);
        }
        entry.history.nacked = true;
        mark_resent(&mut entry.message);
        self.off_the_wire(seq);
        self.lines.put(line, seq);
        if self.lines.rest(line, now) {
            self.renewal.want(now);
        }
    }
}
