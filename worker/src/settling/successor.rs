//! What is published before a job may be settled, and the task that gets it confirmed.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use leveret::broker::BrokerErrorKind;
use leveret::envelope::mark_resent;
use leveret::runtime::{Lane, Publish, Target};
use leveret::{Backoff, Fate, Message, Why};

/// The message that takes a job's place: its retry, its dead letter, or a plain copy.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) target: Target,
    pub(crate) message: Message,
    pub(crate) purpose: Purpose,
    /// Whether there is another way where this message cannot be stored. Otherwise the job is held until it can.
    pub(crate) replaceable: bool,
    /// How long one try may take.
    pub(crate) timeout: Duration,
    /// Whether a copy of it was sent before and may be stored.
    pub(crate) in_doubt: bool,
}

/// What a successor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The next attempt, when this time is over.
    Retry {
        after: Duration,
    },
    /// The same attempt, when this time is over.
    Snooze {
        after: Duration,
    },
    /// A job that no handler is registered for: so many times it has been put off, this one among them.
    Unknown {
        after: Duration,
        times: u32,
    },
    /// An untouched job that has been returned so often that only a fresh copy resets the broker's count.
    Return,
    DeadLetter,
    /// A job of a queue that does not count deliveries: a copy with the note that one more may have crashed its worker.
    NoteCrash,
    /// A suspect that rests after so many starts.
    PutAside {
        starts: u32,
    },
    /// A suspect that is about to be started, this start counted.
    Arm {
        starts: u32,
    },
}

impl Successor {
    /// The same once more, after a copy of it was sent and not answered.
    pub(crate) fn after_a_doubtful_try(&self) -> Self {
        let mut message = self.message.clone();
        mark_resent(&mut message);
        Self {
            target: self.target.clone(),
            message,
            in_doubt: true,
            ..*self
        }
    }
}

impl Purpose {
    /// Whether the job runs once more after it.
    fn goes_on(self) -> bool {
        match self {
            Self::Retry { .. } | Self::Snooze { .. } | Self::Unknown { .. } => true,
            Self::NoteCrash | Self::PutAside { .. } | Self::Arm { .. } => true,
            Self::Return | Self::DeadLetter => false,
        }
    }

    /// How long it waits before it is due.
    pub(super) fn wait(self) -> Duration {
        match self {
            // To whole milliseconds, as it is written down.
            Self::Retry { after } | Self::Snooze { after } | Self::Unknown { after, .. } => {
                let millis = after.as_nanos().div_ceil(1_000_000);
                Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
            }
            _ => Duration::ZERO,
        }
    }

    /// Whether its job would run too early on the delivery in hand.
    pub(crate) fn would_be_early(self) -> bool {
        matches!(self, Self::Retry { .. } | Self::Snooze { .. }) && !self.wait().is_zero()
    }

    /// How often it is tried where there is another way. What is to wait has time: run at once it would be early, and the ladder is never full.
    fn tries(self) -> u32 {
        match self.wait() {
            Duration::ZERO => TRIES,
            _ => u32::MAX,
        }
    }
}

/// How the publishing of a successor ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is stored.
    Confirmed,
    /// It was taken back. `in_doubt`: a copy of it was sent and not answered, and may be stored.
    Withdrawn { in_doubt: bool },
    /// It cannot be stored, for this reason.
    GaveUp(String),
}

/// The waits between the tries.
const PACE: Backoff = Backoff::exponential("100ms", "10s");

/// How often a successor is tried that is replaceable.
const TRIES: u32 = 5;

/// Publishes until it is confirmed, until `stop` resolves, or until it is of no use to go on.
pub(crate) async fn send(lane: Lane, successor: std::sync::Arc<Successor>, stop: impl Future<Output = ()>) -> Sent {
    let mut stop = pin!(stop);
    let mut message = successor.message.clone();
    let (mut tries, mut in_doubt) = (0, successor.in_doubt);
    loop {
        tries += 1;
        let publish = lane.publish(Publish {
            target: successor.target.clone(),
            message: message.clone(),
            timeout: successor.timeout,
        });
        let mut publishing = tokio::select! {
            biased;
            () = &mut stop => return Sent::Withdrawn { in_doubt },
            publishing = publish => publishing,
        };
        let result = tokio::select! {
            biased;
            result = &mut publishing => result,
            () = &mut stop => {
                publishing.withdraw();
                return match publishing.await {
                    Ok(()) => Sent::Confirmed,
                    Err(fate) => Sent::Withdrawn { in_doubt: in_doubt || fate == Fate::Unknown },
                };
            }
        };
        let Err(fate) = result else {
            return Sent::Confirmed;
        };
        in_doubt |= fate == Fate::Unknown;
        // A copy in doubt may be stored: another way would make two of one job, and neither would say so.
        let may_give_up = successor.replaceable && !(in_doubt && successor.purpose.goes_on());
        if may_give_up && (tries >= successor.purpose.tries() || is_hopeless(&fate, successor.purpose)) {
            return Sent::GaveUp(told(&fate));
        }
        log_failure(&successor, &fate, tries);
        if fate == Fate::Unknown {
            mark_resent(&mut message);
        }
        tokio::select! {
            biased;
            () = &mut stop => return Sent::Withdrawn { in_doubt },
            () = tokio::time::sleep(PACE.wait(tries, fastrand::f64())) => {}
        }
    }
}

/// Whether the same message would be refused again. What is to wait has the time until somebody makes the ladder that is not there, or gives the
/// right back that was taken away: a dead letter of it would be for good.
fn is_hopeless(fate: &Fate, purpose: Purpose) -> bool {
    match fate {
        Fate::Refused(Why::Nacked) => false,
        Fate::Refused(Why::Undeclared(_) | Why::Unroutable) => !purpose.would_be_early(),
        Fate::Refused(Why::ClosesChannel(error)) if error.kind() == BrokerErrorKind::Permission => {
            !purpose.would_be_early()
        }
        Fate::Refused(_) => true,
        _ => false,
    }
}

fn told(fate: &Fate) -> String {
    match fate {
        Fate::Refused(why) => why.to_string(),
        Fate::NotSent => "it could not be sent".to_owned(),
        _ => "it was not confirmed".to_owned(),
    }
}

fn log_failure(successor: &Successor, fate: &Fate, tries: u32) {
    tracing::warn!(
        destination = successor.target.destination.routing_key,
        purpose = ?successor.purpose,
        job = successor.message.properties.message_id.as_deref(),
        tries,
        why = told(fate),
        "a successor was not confirmed; the job is held and it is tried again"
    );
}

#[cfg(test)]
mod tests {
    use leveret::broker::BrokerError;

    use super::*;

    #[test]
    fn a_retry_that_waits_outlasts_a_permission_that_was_taken_away() {
        let later = Duration::from_secs(1);
        let refused = |kind| Fate::Refused(Why::ClosesChannel(BrokerError::new(kind, "refused")));
        for (kind, purpose, hopeless) in [
            (BrokerErrorKind::Permission, Purpose::Retry { after: later }, false),
            (BrokerErrorKind::Permission, Purpose::Snooze { after: later }, false),
            // There is another way, and it takes no permission.
            (
                BrokerErrorKind::Permission,
                Purpose::Retry { after: Duration::ZERO },
                true,
            ),
            (BrokerErrorKind::Permission, Purpose::DeadLetter, true),
            // The message itself is what kills the channel.
            (BrokerErrorKind::Protocol, Purpose::Retry { after: later }, true),
        ] {
            assert_eq!(is_hopeless(&refused(kind), purpose), hopeless, "{kind:?} {purpose:?}");
        }
    }
}
