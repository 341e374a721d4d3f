//! The memory of jobs that are finished although the broker may not know it: [`Memory`]. Pure.
//!
//! An ack is sent and never answered. When its channel dies, the broker may not have got it, and delivers a job again that is
//! done. One dispatcher owns one memory, so the queue is part of the key.

use std::collections::{HashSet, VecDeque};

use super::key::Key;

/// What was finished here. A key enters only when its job is done or the job's successor is confirmed: then a redelivery of the
/// same message can be acked unrun. It is asked only about redeliveries.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Acked on the channel that is open now. Such an ack can only be lost with the channel, so nothing is asked of these.
    acked: VecDeque<Key>,
    /// Finished without an ack that is known to have arrived.
    doubtful: HashSet<Key>,
    /// The same keys, oldest first: what is forgotten first.
    order: VecDeque<Key>,
    /// How many of each are kept.
    capacity: usize,
}

impl Memory {
    /// A memory for a channel of this prefetch. The broker holds no more than `prefetch` unsettled deliveries of a channel, so no more
    /// acks than that can be lost with it; the rest is for losses in close succession.
    pub(crate) fn new(prefetch: u16) -> Self {
        Self::with_capacity((usize::from(prefetch) * 4).max(1_024))
    }

    fn with_capacity(capacity: usize) -> Self {
        Self {
            acked: VecDeque::new(),
            doubtful: HashSet::new(),
            order: VecDeque::new(),
            capacity,
        }
    }

    /// A finished job was acked on the open channel.
    pub(crate) fn acked(&mut self, key: Key) {
        if self.acked.len() == self.capacity {
            self.acked.pop_front();
        }
        self.acked.push_back(key);
    }

    /// A job was finished and could not be acked any more, or was acked on a channel on its way out.
    pub(crate) fn finished(&mut self, key: Key) {
        if !self.doubtful.insert(key.clone()) {
            return;
        }
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.doubtful.remove(&oldest);
        }
        self.order.push_back(key);
    }

    /// The channel is gone: what was acked on it may come again.
    pub(crate) fn channel_ended(&mut self) {
        for key in std::mem::take(&mut self.acked) {
            self.finished(key);
        }
    }

    /// Whether a redelivered message is one that was finished here.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.doubtful.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use leveret::Message;
    use leveret::envelope::{Incoming, headers};

    use super::*;

    fn key(number: u32) -> Key {
        let mut message = Message::default();
        message.properties.message_id = Some(format!("job-{number}").into());
        message.properties.headers.insert(headers::HOP.to_owned(), 0u32.into());
        Key::of(&Incoming::read(&message).expect("valid")).expect("id and hop")
    }

    #[test]
    fn an_ack_is_doubtful_only_once_its_channel_has_ended() {
        let mut memory = Memory::with_capacity(8);
        memory.acked(key(1));
        assert!(!memory.knows(&key(1)));

        memory.channel_ended();

        assert!(memory.knows(&key(1)));
        assert!(!memory.knows(&key(2)));
        assert!(
            memory.knows(&key(1)),
            "asking does not use it up: the second ack can be lost too"
        );
    }

    #[test]
    fn what_finished_without_its_lease_is_known_at_once() {
        let mut memory = Memory::with_capacity(8);
        memory.finished(key(1));
        assert!(memory.knows(&key(1)));
    }

    #[test]
    fn the_oldest_is_forgotten_first_and_nothing_grows() {
        let mut memory = Memory::with_capacity(3);
        for number in 0..10 {
            memory.acked(key(number));
        }
        memory.channel_ended();
        let known: Vec<_> = (0..10).filter(|number| memory.knows(&key(*number))).collect();
        assert_eq!(known, [7, 8, 9]);

        memory.finished(key(9));
        memory.finished(key(10));
        let known: Vec<_> = (0..11).filter(|number| memory.knows(&key(*number))).collect();
        assert_eq!(known, [8, 9, 10], "entering twice takes one place");
        assert_eq!(
            (memory.order.len(), memory.doubtful.len(), memory.acked.len()),
            (3, 3, 0)
        );
    }
}
