//! What to say when the broker takes back a job that was held for longer than its `consumer_timeout`. It cannot be asked for that limit over
//! AMQP, and what it does differs by version: up to 4.2 it closes the channel, from 4.3 on it cancels the consumer.

use std::fmt;
use std::time::Duration;

use leveret::JobId;
use leveret::broker::BrokerError;

use super::Dispatcher;

/// How the broker took something back.
#[derive(Debug)]
pub(super) enum Taking<'a> {
    /// With these words.
    ChannelClosed(&'a BrokerError),
    /// Without a word; a deleted queue looks the same.
    ConsumerCancelled,
}

/// What happened, to which queue, and what to do about it.
#[derive(Debug)]
struct Explanation<'a> {
    queue: &'a str,
    taking: &'a Taking<'a>,
    /// The job that was held longest, and for how long.
    longest: Option<(&'a str, &'a JobId, Duration)>,
    /// How long this worker believes that it may hold a job.
    believed: Duration,
}

impl Dispatcher {
    /// Tells the log and the state. To be called while what was taken back is still in hand.
    pub(super) fn taken_back(&self, taking: &Taking<'_>) {
        let now = self.wires.clock.now();
        let longest = self.hand.held_longest();
        let explanation = Explanation {
            queue: self.setup.plan.queue.name(),
            taking,
            longest: longest.as_ref().map(|(attempt, since)| {
                let name = attempt.incoming.name.as_deref().unwrap_or("?");
                (name, &attempt.incoming.id, now.saturating_sub(*since))
            }),
            believed: self.setup.plan.longest_hold,
        };
        tracing::error!(queue = explanation.queue, "{explanation}");
        self.down(&explanation);
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.queue;
        match self.taking {
            Taking::ChannelClosed(error) => {
                write!(
                    f,
                    "the broker took back the jobs that this worker had of the queue `{queue}`, because one was held for longer than "
                )?;
                match limit_in(&error.to_string()) {
                    Some(limit) => write!(f, "its consumer_timeout of {limit:?}")?,
                    None => f.write_str("its consumer_timeout")?,
                }
                write!(f, " (RabbitMQ up to 4.2 closes the channel over it: {error})")?;
            }
            Taking::ConsumerCancelled => write!(
                f,
                "the broker cancelled the consumer of the queue `{queue}`: either the queue was deleted, or (from RabbitMQ 4.3 on) a job of it was \
                 held for longer than its consumer_timeout"
            )?,
        }
        let Some((name, id, held)) = self.longest else {
            return f.write_str("; this worker had none in hand");
        };
        let held = Duration::from_millis(u64::try_from(held.as_millis()).unwrap_or(u64::MAX));
        write!(
            f,
            "; held longest: the job `{name}` {id}, for {held:?}. No attempt is spent: what runs goes on, and if it is delivered again here, that \
             joins it. If the job is meant to take so long, raise consumer_timeout (rabbitmq.conf; from 3.12 also x-consumer-timeout of the queue) \
             and tell the worker with `.consumer_timeout(…)`, which counts with {:?} now; otherwise give its type a `timeout` below it",
            self.believed
        )
    }
}

/// The limit that RabbitMQ names in its words.
fn limit_in(text: &str) -> Option<Duration> {
    let (_, after) = text.split_once("Timeout value used: ")?;
    let (number, unit) = after.split_once(' ')?;
    let millis = number.parse().ok().filter(|_| unit.starts_with("ms"))?;
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use leveret::broker::BrokerErrorKind;

    use super::*;

    fn explained(taking: &Taking<'_>, held: Option<Duration>) -> String {
        let id = JobId::new("note-7").expect("short");
        let explanation = Explanation {
            queue: "mail",
            taking,
            longest: held.map(|held| ("note", &id, held)),
            believed: Duration::from_secs(1_740),
        };
        explanation.to_string()
    }

    #[test]
    fn a_closed_channel_is_explained_with_the_limit_that_the_broker_named() {
        let words = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. This timeout \
                     value can be configured, see consumers doc guide to learn more";
        let error = BrokerError::new(BrokerErrorKind::Overdue, words);
        let text = explained(&Taking::ChannelClosed(&error), Some(Duration::from_secs(1_801)));
        for part in [
            "the queue `mail`",
            "consumer_timeout of 1800s",
            "up to 4.2",
            words,
            "the job `note` note-7, for 1801s",
            "No attempt is spent",
            "counts with 1740s",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_cancelled_consumer_is_explained_with_both_causes() {
        let text = explained(&Taking::ConsumerCancelled, Some(Duration::from_secs(9)));
        for part in ["the queue `mail`", "was deleted", "from RabbitMQ 4.3 on", "for 9s"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = explained(&Taking::ConsumerCancelled, None);
        assert!(text.ends_with("this worker had none in hand"), "{text}");
    }

    #[test]
    fn other_words_name_no_limit() {
        for text in [
            "",
            "Timeout value used: ",
            "Timeout value used: soon ms",
            "Timeout value used: 5 h",
        ] {
            assert_eq!(limit_in(text), None, "{text}");
        }
    }
}
