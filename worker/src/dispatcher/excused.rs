//! Deliveries that ended without an answer, or with a return, for a reason that is not the job's: [`Excused`]. Pure.

use std::collections::{HashMap, VecDeque};

use super::key::Key;

/// How many messages are remembered.
const CAPACITY: usize = 4_096;

/// What this process has lost with its channels and given back, by message. The broker counts that as it counts crashes; but a process
/// that crashes forgets, and one that remembers has not crashed.
#[derive(Debug, Default)]
pub(crate) struct Excused {
    times: HashMap<Key, u32>,
    /// The same keys, oldest first: what is forgotten first.
    order: VecDeque<Key>,
}

impl Excused {
    pub(crate) fn add(&mut self, key: Key) {
        if let Some(times) = self.times.get_mut(&key) {
            *times = times.saturating_add(1);
            return;
        }
        if self.order.len() == CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.times.remove(&oldest);
        }
        self.times.insert(key.clone(), 1);
        self.order.push_back(key);
    }

    /// How many deliveries of a message are excused.
    pub(crate) fn times(&self, key: Option<&Key>) -> u32 {
        key.and_then(|key| self.times.get(key)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use leveret::Message;
    use leveret::envelope::{Incoming, headers};

    use super::*;

    fn key(number: usize) -> Key {
        let mut message = Message::default();
        message.properties.message_id = Some(format!("job-{number}").into());
        message.properties.headers.insert(headers::HOP.to_owned(), 0u32.into());
        Key::of(&Incoming::read(&message).expect("valid")).expect("id and hop")
    }

    #[test]
    fn each_time_counts_and_the_oldest_is_forgotten_first() {
        let mut excused = Excused::default();
        excused.add(key(0));
        excused.add(key(1));
        excused.add(key(1));
        assert_eq!(excused.times(Some(&key(1))), 2);
        assert_eq!((excused.times(Some(&key(2))), excused.times(None)), (0, 0));

        for number in 2..=CAPACITY {
            excused.add(key(number));
        }
        assert_eq!((excused.times(Some(&key(0))), excused.times(Some(&key(1)))), (0, 2));
        assert_eq!((excused.times.len(), excused.order.len()), (CAPACITY, CAPACITY));
    }
}
