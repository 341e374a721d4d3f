//! The job of the soak programs.

use leveret::{Backoff, Job};
use serde::{Deserialize, Serialize};

const PREFIX: &str = "soak-";

/// A job that knows whether it is whole: it carries its id and a checksum over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Job)]
#[job(
    name = "soak",
    queue = "soak",
    max_attempts = 20,
    backoff = Backoff::exponential("50ms", "1s"),
    timeout = "10m"
)]
pub struct Soak {
    /// From 0, dense.
    pub id: u64,
    /// Something to carry; it follows from the id.
    pub cargo: String,
    /// Of the two before.
    pub checksum: u32,
}

impl Soak {
    /// The job of this number.
    pub fn new(id: u64) -> Soak {
        let cargo = format!("job {id} of a soak, {:016x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let checksum = checksum(id, &cargo);
        Soak { id, cargo, checksum }
    }

    /// Whether nothing of it was changed.
    pub fn is_whole(&self) -> bool {
        self.checksum == checksum(self.id, &self.cargo)
    }
}

fn checksum(id: u64, cargo: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.to_be_bytes());
    hasher.update(cargo.as_bytes());
    hasher.finalize()
}

/// The message id of a job: the same whenever and by whomever it is enqueued.
pub fn message_id(id: u64) -> String {
    format!("{PREFIX}{id}")
}

/// The job whose message has this id, if it is one of ours.
pub fn id_of(message_id: &str) -> Option<u64> {
    message_id.strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_knows_whether_it_is_whole() {
        let job = Soak::new(7);
        assert!(job.is_whole());
        assert!(!Soak { id: 8, ..job.clone() }.is_whole());
        let cargo = job.cargo.replace('7', "8");
        assert!(!Soak { cargo, ..job }.is_whole());
    }

    #[test]
    fn a_message_id_leads_back_to_its_job() {
        assert_eq!(id_of(&message_id(4711)), Some(4711));
        assert_eq!(id_of("4711"), None);
        assert_eq!(id_of("soak-x"), None);
    }
}
