//! What the past of a delivery says of its job. Pure.

use leveret::envelope::headers;
use leveret::{HeaderValue, Message};

/// How many deliveries of a job may end with their worker before it becomes a suspect.
pub(crate) const CRASHES: u32 = 2;

/// How often a suspect is started before it becomes a dead letter.
pub(crate) const STARTS: u32 = 3;

/// What is known of the deliveries of a message before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Past {
    /// Whether there was any.
    pub(super) redelivered: bool,
    /// How many the broker has counted that were not answered. A classic queue does not count.
    pub(super) counted: Option<u32>,
    /// How many have been noted on the message, because its queue does not count.
    pub(super) noted: u32,
    /// How many ended for a reason that this worker knows and that is not the job's.
    pub(super) excused: u32,
}

/// What becomes of a delivery that could be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// It is started as soon as there is a slot.
    Run,
    /// Its past is noted on it first.
    Note,
    /// It is put aside, among the suspects.
    PutAside,
}

impl Past {
    /// How many deliveries may have ended with their worker. Untouched jobs rise as well as those that ran: the broker counts what a
    /// dead worker had, not what it did.
    fn crashes(self) -> u32 {
        // On 4.x a dead letter that comes back by the broker's hand keeps its count; it was not delivered from here before.
        let since = if self.redelivered { self.counted.unwrap_or(1) } else { 0 };
        self.noted.saturating_add(since.saturating_sub(self.excused))
    }

    pub(super) fn course(self) -> Course {
        match self.crashes() {
            CRASHES.. => Course::PutAside,
            crashes if self.counted.is_none() && crashes > self.noted => Course::Note,
            _ => Course::Run,
        }
    }
}

/// How a delivery of the queue of suspects stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is no suspect.
    Plain,
    /// It was started so often. Before it is started again, a copy that counts the start has to take its place.
    Resting(u32),
    /// Its start is counted; it was not made yet.
    Armed(u32),
}

impl Standing {
    /// Reads it. `unexcused`: a delivery of this very message ended, and not for a reason that this worker knows.
    ///
    /// Starts are counted in a header and not by the broker: that counts deliveries, of which some are never started (a worker waits until a
    /// suspect would be alone), and each version in its own way. So a start is written down before it is made, by a copy. If such a
    /// copy comes again, its start was made.
    pub(super) fn of(message: &Message, unexcused: bool) -> Self {
        let starts = number(message, headers::SUSPECT);
        let armed = message.properties.headers.contains_key(headers::SUSPECT_ARMED);
        match armed && !unexcused {
            true => Self::Armed(starts),
            false => Self::Resting(starts),
        }
    }

    /// How many starts were made, if that is as many as there may be.
    pub(super) fn used_up(self) -> Option<u32> {
        match self {
            Self::Resting(starts @ STARTS..) => Some(starts),
            _ => None,
        }
    }

    /// How many starts were made, where the one under way is not to count.
    pub(super) fn without_this_start(self) -> u32 {
        match self {
            Self::Plain => 0,
            Self::Resting(starts) => starts,
            Self::Armed(starts) => starts.saturating_sub(1),
        }
    }
}

/// A count in a header of ours; what cannot be read counts as none.
pub(super) fn number(message: &Message, header: &str) -> u32 {
    let value = message.properties.headers.get(header).and_then(HeaderValue::as_int);
    value.map_or(0, |count| u32::try_from(count.max(0)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_put_aside_before_its_third_start() {
        let quorum = |counted| (true, Some(counted), 0);
        for ((redelivered, counted, noted), excused, course) in [
            ((false, Some(0), 0), 0, Course::Run),
            (quorum(1), 0, Course::Run),
            (quorum(2), 0, Course::PutAside),
            (quorum(7), 0, Course::PutAside),
            // 4.3 does not count what was given back.
            (quorum(0), 0, Course::Run),
            // A count that was inherited from another queue.
            ((false, Some(5), 0), 0, Course::Run),
            // What this worker lost with its connection did not crash it.
            (quorum(2), 1, Course::Run),
            (quorum(3), 1, Course::PutAside),
            (quorum(1), 4, Course::Run),
            // Classic queues do not count: it is noted on the job.
            ((false, None, 0), 0, Course::Run),
            ((true, None, 0), 0, Course::Note),
            ((true, None, 0), 1, Course::Run),
            ((false, None, 1), 0, Course::Run),
            ((true, None, 1), 1, Course::Run),
            ((true, None, 1), 0, Course::PutAside),
        ] {
            let past = Past {
                redelivered,
                counted,
                noted,
                excused,
            };
            assert_eq!(past.course(), course, "{past:?}");
        }
    }

    #[test]
    fn a_counted_start_that_comes_again_was_made() {
        let message = |starts: u32, armed: bool| {
            let mut message = Message::default();
            let table = &mut message.properties.headers;
            table.insert(headers::SUSPECT.to_owned(), starts.into());
            if armed {
                table.insert(headers::SUSPECT_ARMED.to_owned(), HeaderValue::Bool(true));
            }
            message
        };
        for (starts, armed, unexcused, standing, used_up, without) in [
            (0, false, false, Standing::Resting(0), None, 0),
            (0, false, true, Standing::Resting(0), None, 0),
            (1, true, false, Standing::Armed(1), None, 0),
            (1, true, true, Standing::Resting(1), None, 1),
            (3, true, false, Standing::Armed(3), None, 2),
            (3, true, true, Standing::Resting(3), Some(3), 3),
            (3, false, false, Standing::Resting(3), Some(3), 3),
        ] {
            let read = Standing::of(&message(starts, armed), unexcused);
            assert_eq!(
                (read, read.used_up(), read.without_this_start()),
                (standing, used_up, without)
            );
        }
    }
}
