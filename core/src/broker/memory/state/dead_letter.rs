//! Where messages go that their queue gives up: through the dead-letter exchange, at most once or at least once.

use std::sync::Arc;
use std::time::Duration;

use super::death::{self, Reason};
use super::queue::{Entry, Posted};
use super::{Name, State};
use crate::broker::Destination;

/// How long RabbitMQ waits before it sends a dead letter again that did not arrive.
const RETRY_AFTER: Duration = Duration::from_secs(180);

impl State {
    /// Sends a message to the dead-letter exchange of its queue. Without one, or if it does not arrive and the queue
    /// is not an at-least-once one, the message is gone.
    pub(super) fn dead_letter(&mut self, queue: &Name, entry: &Entry, reason: Reason) {
        let Some(state) = self.queues.get(queue) else { return };
        let Some(exchange) = state.settings.dead_letter_exchange.clone() else {
            return;
        };
        let own_key = || entry.posted.destination.routing_key.clone();
        let routing_key = state.settings.dead_letter_key.clone().unwrap_or_else(own_key);
        let to = Destination { exchange, routing_key };
        let at_least_once = state.settings.at_least_once;
        let waits_its_turn = at_least_once && !state.graves.has_room();
        let buried = death::bury(&entry.posted, queue, reason, self.date, to);
        if (waits_its_turn || !self.forward(&buried)) && at_least_once {
            self.keep_dead_letter(queue, buried);
        }
    }

    /// Whether the dead letter arrived, in all queues that it was routed to or in none.
    fn forward(&mut self, buried: &Arc<Posted>) -> bool {
        let mut targets = self.route(&buried.destination).unwrap_or_default();
        targets.retain(|queue| !death::is_cycle(buried, queue));
        let is_full = |queue: &Name| self.queues.get(queue).is_none_or(|state| state.is_full());
        if targets.is_empty() || targets.iter().any(is_full) {
            return false;
        }
        for queue in &targets {
            self.store(queue, Arc::clone(buried));
        }
        true
    }

    fn keep_dead_letter(&mut self, queue: &Name, buried: Arc<Posted>) {
        let Some(state) = self.queues.get_mut(queue) else {
            return;
        };
        state.graves.keep(buried);
        if state.graves.retry_at.is_none() {
            let due = self.now + RETRY_AFTER;
            state.graves.retry_at = Some(due);
            self.timers.insert((due, Arc::clone(queue)));
        }
    }

    /// Tries the dead letters that a queue keeps once more, in order.
    pub(super) fn retry_dead_letters(&mut self, queue: &Name) {
        let Some(state) = self.queues.get_mut(queue) else {
            return;
        };
        if state.graves.retry_at.is_none_or(|due| due > self.now) {
            return; // The timer of a queue that was deleted and declared anew.
        }
        let waiting = state.graves.take();
        for buried in waiting {
            let has_room = self.queues.get(queue).is_some_and(|state| state.graves.has_room());
            if !has_room || !self.forward(&buried) {
                self.keep_dead_letter(queue, buried);
            }
        }
    }
}
