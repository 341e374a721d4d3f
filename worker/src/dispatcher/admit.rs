//! What happens to a delivery when it comes in.

use std::sync::Arc;
use std::time::Duration;

use leveret::broker::{Delivery, Settlement};
use leveret::envelope::Incoming;

use super::Dispatcher;
use super::channels::ChannelLease;
use super::hand::{Held, Stage};
use super::key::Key;
use crate::cancellation::Switch;
use crate::context::Attempt;
use crate::registry::Entry;
use crate::settling::read;
use crate::terms::Retrying;
use crate::verdict::Ended;

impl Dispatcher {
    /// Takes a delivery in: recognizes it, lets it join its own earlier run, or puts it in line. `now`: when it came.
    pub(super) fn admit(&mut self, delivery: Delivery, now: Duration) {
        let Delivery {
            message,
            redelivered,
            lease,
        } = delivery;
        let lease = self.channels.lease(lease);
        self.setup.pulse.delivered();
        let (incoming, fault) = read(&message);
        let lease = match self.recognize(&incoming, redelivered, (lease, now)) {
            Some(lease) => lease,
            None => return,
        };
        let entry = incoming
            .name
            .as_deref()
            .and_then(|name| self.setup.registry.find(name))
            .cloned();
        let ended = match (fault, &entry) {
            (Some(error), _) => Some(Ended::Undecodable(error.to_string())),
            (None, None) => Some(Ended::UnknownType(incoming.name.clone())),
            (None, Some(_)) => None,
        };
        let (standing, elsewhere) = self.judge(&message, &incoming, redelivered);
        let ended = ended.or_else(|| Self::poison(standing));
        let halted = self.channels.is_halted();
        let held = Held {
            lease: Some(lease),
            delivered: now,
            delivery_count: incoming.delivery_count,
            standing,
            attempt: Arc::new(Attempt {
                timeout: self.timeout(&incoming, entry.as_deref()),
                retrying: entry
                    .as_ref()
                    .map_or_else(Retrying::default, |entry| Retrying::new(Arc::clone(&entry.terms))),
                message,
                incoming,
                redelivered,
                surroundings: self.setup.surroundings.clone(),
                switch: Switch::default(),
            }),
            stage: match (&ended, entry) {
                // What comes after the halt goes back at once: it is never in line.
                (None, Some(entry)) if !halted && elsewhere.is_none() => Stage::Waiting(entry),
                _ => Stage::Ended,
            },
        };
        let number = self.hand.add(held);
        match (ended, elsewhere) {
            _ if halted => self.return_untouched(number),
            (Some(ended), _) => self.decide(number, ended),
            (None, Some(purpose)) => self.move_on(number, purpose),
            (None, None) => {}
        }
    }

    /// Looks whether a redelivery is of a job that was finished here, which is acked unrun, or of one that is in hand, which it
    /// joins. The lease comes back if it is neither.
    fn recognize(
        &mut self,
        incoming: &Incoming,
        redelivered: bool,
        (lease, now): (ChannelLease, Duration),
    ) -> Option<ChannelLease> {
        let key = if redelivered { Key::of(incoming) } else { None };
        let Some(key) = key else { return Some(lease) };
        if self.memory.knows(&key) {
            tracing::info!(queue = self.setup.plan.queue.name(), job = %incoming.id, "finished before; its ack had been lost");
            self.report.recognized += 1;
            self.channels.settle(lease, Settlement::Ack);
            return None;
        }
        match self.hand.adopt(&key, lease, now) {
            Err(lease) => Some(lease),
            Ok(_) => {
                tracing::info!(queue = self.setup.plan.queue.name(), job = %incoming.id, "still in hand; the redelivery joins it");
                None
            }
        }
    }

    /// How long one attempt may run: what the message says wins over what its type says, within what the broker allows.
    fn timeout(&self, incoming: &Incoming, entry: Option<&Entry>) -> Duration {
        let plan = &self.setup.plan;
        let timeout = entry.map_or(plan.longest_hold, |entry| entry.timeout);
        let longest = plan.longest_hold.saturating_sub(plan.longest_wait).max(timeout);
        incoming.timeout.unwrap_or(timeout).min(longest)
    }
}
