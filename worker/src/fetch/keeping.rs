//! How a fetched job is settled. Invariant: nothing is acked before it is done or its successor is confirmed.

use std::sync::Arc;

use leveret::broker::Settlement;
use leveret::envelope::Republish;
use tokio::sync::oneshot;

use super::error::FetchError;
use super::fetched::{Decision, Settled};
use super::keeper::{Keeper, Reply, Sending};
use crate::config::Settings;
use crate::settling::{Deed, Purpose, Sent, Successor, log};
use crate::verdict::Verdict;

impl Keeper {
    /// It is known what shall happen to a job in hand; `None`: it was dropped unsettled.
    pub(super) async fn decided(&mut self, number: u64, decision: Option<Decision>) {
        let Some(held) = self.held.get(&number) else { return };
        let (verdict, reply) = match decision {
            Some(Decision { verdict, reply }) => (verdict, Some(reply)),
            None => (Verdict::GiveBack, None),
        };
        if held.lease.is_none() {
            return self.stale(number, reply);
        }
        log(&held.attempt, &verdict);
        match verdict {
            // Nobody interrupted anything: it was given back.
            Verdict::GiveBack => self.report.returned += 1,
            _ => self.report.note(&verdict),
        }
        let settled = match verdict {
            Verdict::Cancel { .. } => Settled::Cancelled,
            _ => Settled::Done,
        };
        match self.place.successors.deed(verdict) {
            Deed::Done => self.tell(number, Settlement::Ack, settled, reply).await,
            Deed::GiveBack => self.give_back(number, reply).await,
            Deed::LeaveToTheBroker => self.leave_to_the_broker(number, reply).await,
            Deed::Replace { purpose, why } => self.replace(number, purpose, &why, reply).await,
        }
    }

    async fn give_back(&mut self, number: u64, reply: Reply) {
        let count = self.held.get(&number).map(|held| held.attempt.incoming.delivery_count);
        if count.is_some_and(|count| self.place.successors.returns_by_copy(count)) {
            self.replace(number, Purpose::Return, &Republish::Again, reply).await;
        } else {
            self.tell(number, Settlement::Requeue, Settled::Returned, reply).await;
        }
    }

    async fn leave_to_the_broker(&mut self, number: u64, reply: Reply) {
        self.report.dead_lettered += 1;
        self.tell(number, Settlement::DeadLetter, Settled::DeadLettered, reply)
            .await;
    }

    /// Begins to publish what takes the job's place.
    async fn replace(&mut self, number: u64, purpose: Purpose, why: &Republish, reply: Reply) {
        let Some(held) = self.held.get(&number) else { return };
        match self.place.successors.make(&held.attempt, purpose, why) {
            Ok(successor) => self.begin(number, Arc::new(successor), reply),
            Err(why) => self.gave_up(number, purpose, &why, reply).await,
        }
    }

    fn begin(&mut self, number: u64, successor: Arc<Successor>, reply: Reply) {
        let Some(held) = self.held.get_mut(&number) else { return };
        let (withdraw, withdrawn) = oneshot::channel::<()>();
        let ends = held.fetched.saturating_add(Settings::default().longest_hold());
        let patience = ends.saturating_sub(self.place.rabbit.clock().now());
        held.sending = Some(Sending {
            successor: Arc::clone(&successor),
            withdraw: Some(withdraw),
            reply,
        });
        // A sender that was dropped asks for the same as one that was used.
        let stop = async move { drop(tokio::time::timeout(patience, withdrawn).await) };
        let sending = self.place.successors.send(successor, stop);
        self.spawn(number, sending);
    }

    /// The publishing of a successor has ended.
    pub(super) async fn successor_ended(&mut self, number: u64, sent: Sent) {
        let Some(held) = self.held.get_mut(&number) else { return };
        let Some(Sending { successor, reply, .. }) = held.sending.take() else {
            return;
        };
        match sent {
            Sent::Confirmed => {
                self.report.stored(successor.purpose);
                self.tell(number, Settlement::Ack, stored_as(successor.purpose), reply)
                    .await;
            }
            Sent::GaveUp(why) => self.gave_up(number, successor.purpose, &why, reply).await,
            // The connection was lost, or the broker's patience ends: then it gets the job back before it closes the channel over it.
            Sent::Withdrawn { .. } => self.tell(number, Settlement::Requeue, Settled::Returned, reply).await,
        }
    }

    /// A successor cannot be stored: what can be done with the delivery alone is done.
    async fn gave_up(&mut self, number: u64, purpose: Purpose, why: &str, reply: Reply) {
        let Some(held) = self.held.get(&number) else { return };
        tracing::error!(
            queue = self.place.queue.name(),
            job = %held.attempt.incoming.id,
            ?purpose,
            why,
            "the successor of a job cannot be stored; there is another way"
        );
        match purpose {
            Purpose::DeadLetter => self.leave_to_the_broker(number, reply).await,
            _ => {
                self.tell(number, Settlement::Requeue, Settled::Returned, reply).await;
            }
        }
    }

    /// Tells the broker, and whoever waits for that.
    async fn tell(&mut self, number: u64, settlement: Settlement, settled: Settled, reply: Reply) {
        let Some(held) = self.held.get_mut(&number) else { return };
        let (Some(lease), Some(channel)) = (held.lease.take(), &mut self.channel) else {
            return self.stale(number, reply);
        };
        let result = match channel.puller.settle(lease, settlement) {
            Ok(()) => channel.puller.flush().await,
            // A lease knows its channel, and goes with it.
            Err(_) => return self.stale(number, reply),
        };
        if let Err(error) = result {
            tracing::warn!(queue = self.place.queue.name(), %error, "the connection was lost while a job was being settled");
            self.lose();
            return self.stale(number, reply);
        }
        self.held.remove(&number);
        answer(reply, Ok(settled));
    }

    fn stale(&mut self, number: u64, reply: Reply) {
        if let Some(held) = self.held.remove(&number) {
            answer(reply, Err(FetchError::stale(&held.attempt.incoming.id)));
        }
    }
}

fn stored_as(purpose: Purpose) -> Settled {
    match purpose {
        Purpose::Retry { .. } => Settled::Retried,
        Purpose::Snooze { .. } => Settled::Snoozed,
        Purpose::DeadLetter => Settled::DeadLettered,
        // Nothing else is done to a fetched job.
        _ => Settled::Returned,
    }
}

/// Whoever does not wait any more need not know.
fn answer(reply: Reply, result: Result<Settled, FetchError>) {
    if let Some(reply) = reply {
        drop(reply.send(result));
    }
}
