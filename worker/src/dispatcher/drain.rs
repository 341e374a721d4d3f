//! The ways in which consuming ends in order: for a pause, after a loss, and for good.

use std::time::Duration;

use tokio::time::timeout;

use super::{Dispatcher, Phase, Stop};
use crate::health::QueueState;
use crate::joined::JoinedConsumer;
use crate::settling::Sent;

/// How long aborted handlers get to be gone. One that blocks its thread cannot be aborted, and must not keep the process.
const ABORT_WAIT: Duration = Duration::from_secs(5);

/// How long the copies get that give back what was aborted. Without an answer the broker delivers the originals again.
const RETURN_WAIT: Duration = Duration::from_secs(2);

impl Dispatcher {
    /// Stops deliveries and gives back what was not touched. The channel stays, for what runs.
    pub(super) async fn halt(&mut self) {
        self.return_waiting();
        if let Err(error) = self.channels.halt().await {
            tracing::warn!(queue = self.setup.plan.queue.name(), %error, "the consumer could not be cancelled");
            return self.lose_channels(false);
        }
        if !self.channels.is_open() {
            return;
        }
        loop {
            match self.turn().await {
                Some(Stop::Lost(_)) => return self.lose_channels(false),
                Some(_) => return self.retire(),
                None => {}
            }
        }
    }

    /// The consumer is cancelled: its channel is kept for what runs, and the rest goes back.
    pub(super) fn retire(&mut self) {
        self.return_waiting();
        self.set_channel_aside();
    }

    /// The consumer is cancelled: its channel is kept for what came on it.
    pub(super) fn set_channel_aside(&mut self) {
        let superseded = self.channels.retire();
        self.hand.lose(&self.channels, &mut self.excused);
        self.close(superseded);
        self.channels.flush();
        self.close_retired_if_unused();
        self.linger();
        self.leave_if_empty();
    }

    /// The open channel is gone, or all are.
    pub(super) fn lose_channels(&mut self, connection_gone: bool) {
        if connection_gone {
            self.channels.drop_all();
        } else {
            self.channels.drop_open();
        }
        self.lost();
    }

    /// Moves on to a connection, or to none: what was held on the one before is lost.
    pub(super) fn follow(&mut self, connection: Option<u64>) {
        let had_channels = self.channels.are_there();
        if self.channels.follow(connection) && had_channels {
            self.lost();
        }
    }

    fn lost(&mut self) {
        self.hand.lose(&self.channels, &mut self.excused);
        self.linger();
        self.leave_if_empty();
        self.setup.pulse.lost(self.wires.clock.now());
    }

    pub(super) fn close_retired_if_unused(&mut self) {
        while let Some(unused) = self.channels.take_retired_if_unused(self.hand.leases()) {
            self.close(Some(unused));
        }
    }

    fn close(&mut self, consumer: Option<JoinedConsumer>) {
        if let Some(consumer) = consumer {
            self.tasks.closings.spawn(consumer.close());
        }
    }

    /// Ends for good: no new jobs, the grace for those that run, then their settlements and the channels.
    pub(super) async fn drain(&mut self) {
        self.setup.reporter.set(QueueState::Draining);
        self.hand.announce_shutdown();
        let phase = self.setup.phase.clone();
        let over = || {
            let mut phase = phase.clone();
            async move {
                // An error means that the worker is gone, which leaves nothing to wait for.
                let _ = phase.wait_for(|phase| *phase == Phase::Aborting).await;
            }
        };
        let finished = timeout(self.setup.shutdown_grace, self.finish_within(over())).await;
        if finished.is_err() {
            tracing::warn!(queue = self.setup.plan.queue.name(), "the shutdown grace is over");
            self.finish_what_must(over()).await;
        }
        self.abandon().await;
        for consumer in self.channels.take_all() {
            self.tasks.closings.spawn(consumer.close());
        }
        while self.tasks.closings.join_next().await.is_some() {}
        self.setup.reporter.set(QueueState::Stopped);
    }

    /// Gives back what is untouched, and waits until nothing is in hand, or `over`.
    async fn finish_within(&mut self, over: impl Future<Output = ()>) {
        let finish = async {
            self.halt().await;
            while !self.hand.is_empty() {
                self.turn().await;
            }
        };
        tokio::select! {
            biased;
            () = over => {}
            () = finish => {}
        }
    }

    /// Jobs that must not be interrupted have their whole time limit, and then the time of one confirm, unless it is `over` before.
    async fn finish_what_must(&mut self, over: impl Future<Output = ()>) {
        let confirm = self.wires.options.deadlines().confirm;
        let finish = async {
            while self.hand.must_finish() {
                self.turn().await;
            }
            let settle = async {
                while self.hand.must_settle() {
                    self.turn().await;
                }
            };
            // What is not confirmed by then is given back: it does not run, so nothing is interrupted.
            let _ = timeout(confirm, settle).await;
        };
        tokio::select! {
            biased;
            () = over => {}
            () = finish => {}
        }
    }

    /// Whatever is still in hand is left to the broker, which delivers it again.
    async fn abandon(&mut self) {
        // Nothing else was done yet where the worker is aborted in the midst of its work.
        if timeout(RETURN_WAIT, self.halt()).await.is_err() {
            tracing::warn!(
                queue = self.setup.plan.queue.name(),
                "deliveries under way could not be given back"
            );
        }
        let report = &mut self.report;
        report.interrupted += self.tasks.attempts.len() as u64;
        report.left_unacked = self.hand.leases().count() as u64;
        self.tasks.attempts.abort_all();
        let gone = async { while self.tasks.attempts.join_next().await.is_some() {} };
        if timeout(ABORT_WAIT, gone).await.is_err() {
            tracing::error!(
                queue = self.setup.plan.queue.name(),
                "a handler blocks its thread and cannot be aborted; it is left behind"
            );
        }
        self.give_back_what_was_aborted().await;
    }

    /// Of what a closed channel leaves behind the broker cannot tell that its worker did not crash.
    async fn give_back_what_was_aborted(&mut self) {
        self.hand.withdraw_successors();
        for number in self.hand.running() {
            self.give_back(number);
        }
        self.channels.flush();
        let stored = async {
            while let Some(finished) = self.tasks.sendings.join_next().await {
                match finished {
                    Ok((number, Sent::Withdrawn { in_doubt: false })) if !self.hand.is_being_returned(number) => {
                        self.give_back(number);
                    }
                    Ok((number, Sent::Withdrawn { .. })) => self.requeue(number),
                    Ok((number, sent)) => self.successor_ended(number, sent),
                    Err(_) => {}
                }
            }
        };
        if timeout(RETURN_WAIT, stored).await.is_err() {
            self.tasks.sendings.shutdown().await;
        }
        self.channels.flush();
    }
}
