//! Has a destination stopped answering? Pure: time is an input, and so is every answer.
//!
//! A channel may lose the answers for one queue for good: on RabbitMQ 3.10.8 a channel that first publishes to a quorum queue just
//! after its leader died can send everything to the dead member and never learn of the new leader. Nothing tells, and
//! other queues are answered as ever; a new channel asks for the leader anew. So a destination that owes answers and gives
//! none gets a new channel, and only one publish at a time until it answers again.

use std::time::Duration;

/// How long a destination may owe answers on a channel on which it has never given one. It doubles with each new channel in a row.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// The same where it has answered on this channel before. Above it are only brokers that are frozen or have lost their
/// majority, which no channel can mend.
const PATIENCE: Duration = Duration::from_secs(15);
/// What an answer takes at the most, as a rule.
const AN_ANSWER: Duration = Duration::from_secs(1);
/// The longest patience.
const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// What is known of one destination's silence on the present channel.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    /// It was seen to owe answers then, and has given none since.
    since: Option<Duration>,
    /// It has answered on this channel.
    answered: bool,
    /// New channels since its last answer.
    renewals: u32,
}

impl Quiet {
    /// An answer came.
    pub(super) fn heard(&mut self) {
        *self = Self {
            since: None,
            answered: true,
            renewals: 0,
        };
    }

    /// It has nothing to answer, or a channel on which it was never asked anything.
    pub(super) fn forget(&mut self) {
        self.since = None;
    }

    /// A new channel was made for it.
    pub(super) fn renewed(&mut self) {
        self.since = None;
        self.answered = false;
        self.renewals = self.renewals.saturating_add(1);
    }

    /// It owes answers at this moment. `true`: for too long.
    pub(super) fn owes(&mut self, now: Duration) -> bool {
        let since = *self.since.get_or_insert(now);
        now.saturating_sub(since) >= self.patience()
    }

    /// Whether it has owed answers for longer than an answer takes.
    pub(super) fn is_quiet(&self, now: Duration) -> bool {
        self.since.is_some_and(|since| now.saturating_sub(since) >= AN_ANSWER)
    }

    fn patience(&self) -> Duration {
        let first = if self.answered { PATIENCE } else { FIRST_PATIENCE };
        first.saturating_mul(1 << self.renewals.min(8)).min(MAX_PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn whoever_answers_now_and_then_may_owe_for_ever() {
        let mut quiet = Quiet::default();
        for second in 0..100 {
            assert!(!quiet.owes(at(second)), "{second}");
            if second % 10 == 0 {
                quiet.heard();
            }
        }
    }

    #[test]
    fn patience_doubles_with_each_new_channel_up_to_a_minute() {
        let mut quiet = Quiet::default();
        let mut now = 0;
        for patience in [5, 10, 20, 40, 60, 60] {
            assert!(!quiet.owes(at(now)));
            assert!(!quiet.owes(at(now + patience - 1)));
            assert!(quiet.owes(at(now + patience)), "{patience}");
            quiet.renewed();
            now += patience + 1;
        }
    }

    #[test]
    fn whoever_has_answered_on_the_channel_is_given_longer() {
        let mut quiet = Quiet::default();
        quiet.heard();
        assert!(!quiet.owes(at(0)) && !quiet.owes(at(14)));
        assert!(quiet.owes(at(15)));
    }

    #[test]
    fn whoever_owes_nothing_has_all_its_time_again() {
        let mut quiet = Quiet::default();
        assert!(!quiet.owes(at(0)));
        quiet.forget();
        assert!(!quiet.is_quiet(at(5)) && !quiet.owes(at(5)));
        assert!(!quiet.is_quiet(at(5)) && quiet.is_quiet(at(6)));
    }
}
