//! Versions of RabbitMQ, and in what their behaviour differs.

/// A version, by the two numbers that behaviour depends on. Newer ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// What the in-memory broker behaves like.
    pub const V3_10: Version = Version { major: 3, minor: 10 };
    const V4_0: Version = Version { major: 4, minor: 0 };
    const V4_3: Version = Version { major: 4, minor: 3 };

    /// Reads "3.10.8", "4.3.6-rc.1" and the like.
    pub(super) fn read(text: &str) -> Option<Version> {
        let mut numbers = text.split(['.', '-', '+']).map(str::parse);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Version { major, minor })
    }

    /// Whether a quorum queue has a delivery limit where none was given (20). With one, what is requeued goes to the head.
    pub fn limits_deliveries_by_itself(self) -> bool {
        self >= Version::V4_0
    }

    /// Whether a dead letter brings the count of its deliveries along into the next queue.
    pub fn dead_letters_keep_their_count(self) -> bool {
        self >= Version::V4_0
    }

    /// Whether a queue that was declared without a type is compared as the classic one that it is.
    pub fn names_the_default_queue_type(self) -> bool {
        self >= Version::V4_0
    }

    /// Whether a requeueing nack counts as a failed delivery.
    pub fn counts_nacks(self) -> bool {
        self < Version::V4_3
    }

    /// Whether what has expired in a queue whose leader was killed may wait there until that node is back.
    pub fn expired_may_wait_for_a_killed_leader(self) -> bool {
        self < Version::V4_0
    }

    /// Whether asking if a queue is there takes the right to configure it.
    pub fn lets_only_configurers_look(self) -> bool {
        self >= Version::V4_3
    }

    /// Whether a job that was held for too long costs its consumer, and no longer the channel.
    pub fn cancels_overdue_consumers(self) -> bool {
        self >= Version::V4_3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let read = |text| Version::read(text).unwrap();
        assert!(read("3.10.8") > read("3.9.29") && read("3.10.8") < Version::V4_0);
        assert!(read("4.0.5") >= Version::V4_0 && read("4.3.0-rc.1") == Version::V4_3);
        assert_eq!(Version::read("unknown"), None);
    }
}
