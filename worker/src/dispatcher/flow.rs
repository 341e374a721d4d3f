//! How much is fetched, where the queue has a kill switch. The decisions are the [`Breaker`](crate::kill_switch::Breaker)'s.

use super::subscribe::leaving;
use super::{Dispatcher, Next, Stop};
use crate::health::QueueState;
use crate::kill_switch::{Change, Evidence, Flow};
use crate::verdict::Verdict;

/// After so many deliveries on one channel a job that is still in hand holds the others back.
const HELD_BACK: u64 = 1_000;

/// The reasons of failures that may be the fault of what jobs depend on.
const FAILURES: [&str; 3] = ["failed", "panicked", "timed_out"];

/// What an attempt's end says of what jobs depend on.
fn evidence(verdict: &Verdict) -> Option<Evidence> {
    match verdict {
        Verdict::Ack | Verdict::Cancel { .. } => Some(Evidence::Good),
        Verdict::Retry { fault, .. } | Verdict::DeadLetter { fault } => {
            FAILURES.contains(&fault.reason).then_some(Evidence::Bad)
        }
        _ => None,
    }
}

impl Dispatcher {
    /// Shows an end to the kill switch.
    pub(super) fn weigh(&mut self, verdict: &Verdict) {
        let (Some(breaker), Some(evidence)) = (&mut self.breaker, evidence(verdict)) else {
            return;
        };
        let Some(change) = breaker.record(self.wires.clock.now(), evidence) else {
            return;
        };
        let (queue, rules) = (self.setup.plan.queue.name(), breaker.rules());
        match change {
            Change::Tripped { failed, attempts } => {
                tracing::error!(queue, failed, attempts, %rules, "the kill switch stops the queue: most of its attempts fail");
            }
            Change::ProbeFailed => {
                tracing::warn!(queue, "a single job failed: the kill switch keeps the queue stopped")
            }
            Change::ProbeGood { good } => {
                tracing::info!(queue, good, "a single job ended well");
                if self.channels.is_open() {
                    self.setup.reporter.set(self.fetching());
                }
            }
            Change::Resumed => tracing::info!(queue, "single jobs ended well: the kill switch lets the queue go on"),
        }
    }

    pub(super) fn flow(&self) -> Flow {
        self.breaker.as_ref().map_or(Flow::Full, |breaker| breaker.flow())
    }

    /// How many jobs may run at once now.
    pub(super) fn slots(&self) -> usize {
        match self.flow() {
            Flow::Full => self.setup.plan.concurrency,
            Flow::Single { .. } => 1,
            Flow::None { .. } => 0,
        }
    }

    /// How many deliveries to ask for now.
    pub(super) fn prefetch(&self) -> u16 {
        match self.flow() {
            Flow::Full => self.most_in_hand(),
            Flow::Single { .. } | Flow::None { .. } => 1,
        }
    }

    /// The same where no kill switch stands against it.
    pub(super) fn most_in_hand(&self) -> u16 {
        match self.pace.is_fast() {
            true => self.setup.plan.fast_prefetch,
            false => self.setup.plan.prefetch,
        }
    }

    /// The state of a queue that is consumed.
    pub(super) fn fetching(&self) -> QueueState {
        match (self.flow(), &self.breaker) {
            (Flow::Single { good }, Some(breaker)) => QueueState::Probing {
                good,
                wanted: breaker.rules().wanted_probes(),
            },
            _ => QueueState::Consuming,
        }
    }

    /// Whether the consumer is the right one no longer. `single`: it was opened to fetch single jobs.
    pub(super) fn flow_stop(&self, single: bool) -> Option<Stop> {
        match self.flow() {
            Flow::None { .. } => Some(Stop::Tripped),
            Flow::Full if single => Some(Stop::Resumed),
            // The broker binds a prefetch to a consumer for as long as that lives.
            Flow::Full if self.channels.prefetch().is_some_and(|open| open != self.prefetch()) => Some(Stop::Repaced),
            Flow::Full if self.is_held_back() => Some(Stop::Repaced),
            _ => None,
        }
    }

    /// Whether one long job makes all the others dear. What is done before the first that is not is acked as one; behind a long job each ack is a
    /// frame of its own, which costs the broker more than the delivery. On a new channel there is none before the others. Only one channel is kept
    /// for that: of many the oldest would be given up, with its job.
    fn is_held_back(&self) -> bool {
        let held_back = |(lease, later)| later >= HELD_BACK && self.channels.is_of_the_open(lease);
        self.pace.is_fast() && !self.channels.keeps_a_retired() && self.hand.oldest().is_some_and(held_back)
    }

    /// Most attempts fail: what was not started goes back, and nothing is fetched until the pause is over and what ran is settled.
    pub(super) async fn pause(&mut self) -> Next {
        let Some(rules) = self.breaker.as_ref().map(|breaker| *breaker.rules()) else {
            return Next::AtOnce;
        };
        let reason = format!("the kill switch: {rules} failed; single jobs are tried after a pause");
        self.setup.reporter.set(QueueState::Paused { reason });
        self.halt().await;
        let mut consuming = self.wires.consuming.state();
        let mut phase = self.setup.phase.clone();
        while let Flow::None { until } = self.flow() {
            let connection = consuming.borrow_and_update().generation();
            self.follow(connection);
            let left = until.saturating_sub(self.wires.clock.now());
            // What began before the pause must not pass for a probe; and only one channel can be kept for what runs.
            if left.is_zero() && !self.channels.are_there() {
                self.probe();
                break;
            }
            tokio::select! {
                biased;
                () = leaving(&mut phase) => return Next::Leave,
                () = tokio::time::sleep(left), if !left.is_zero() => {}
                // An error means that the connection is closed for good, which `next_session` deals with.
                changed = consuming.changed() => if changed.is_err() {
                    break;
                },
                // It stops nothing: there is no open consumer.
                _ = self.turn() => {}
            }
        }
        Next::AtOnce
    }

    /// The pause is over.
    fn probe(&mut self) {
        let now = self.wires.clock.now();
        let begun = self.breaker.as_mut().is_some_and(|breaker| breaker.wake(now));
        tracing::info!(
            queue = self.setup.plan.queue.name(),
            begun,
            "the kill switch tries single jobs"
        );
    }

    /// The consumer fetches too few jobs or too many, because single ones have ended well or by the pace of all, or a long job is in the way of
    /// those after it: it is done with, and one that fetches as many as it should takes its place.
    pub(super) async fn begin_anew(&mut self) -> Next {
        self.stop_fetching().await;
        Next::AtOnce
    }
}
