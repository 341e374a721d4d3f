//! Declaring again, every now and then, what a queue needs: [`Upkeep`]. A deleted queue cancels its consumer, and what is published to a deleted exchange
//! comes back. But of an exchange or a binding that the broker itself uses, for a dead letter or a job whose wait is over, nobody hears that it is
//! gone: such a job stays where it is until the exchange is made anew.

use std::sync::Arc;
use std::time::Duration;

use leveret::runtime::{Link, LinkState};
use leveret::topology::ensure;
use leveret::{Rabbit, TopologyMode, watch};

use crate::dispatcher::Phase;
use crate::settling::Successors;

/// How often, on average: an equal declaration changes nothing, but it is a question to the broker from each worker for each queue.
const EVERY: Duration = Duration::from_secs(60);

/// The delay ladder is long, and its own publishers hear of most that is missing: it is declared in every so many-eth round.
const LADDER_ROUND: u32 = 10;

/// One work queue's upkeep, as long as its worker runs.
#[derive(Debug)]
pub(crate) struct Upkeep {
    successors: Arc<Successors>,
    /// Its dispatchers declare all whenever this is new.
    link: Link,
    mode: TopologyMode,
    phase: watch::Receiver<Phase>,
}

impl Upkeep {
    /// `None` in a mode that declares nothing.
    pub(crate) fn new(successors: &Arc<Successors>, rabbit: &Rabbit, phase: watch::Receiver<Phase>) -> Option<Self> {
        let mode = rabbit.options().topology_mode();
        matches!(mode, TopologyMode::Declare | TopologyMode::Minimal).then(|| Self {
            successors: Arc::clone(successors),
            link: rabbit.consuming(),
            mode,
            phase,
        })
    }

    /// Goes on until the worker shuts down, or its connections are closed for good.
    pub(crate) async fn run(self) {
        let (mut phase, mut link) = (self.phase.clone(), self.link.state());
        tokio::select! {
            biased;
            // An error means that the worker is gone, or the supervisor, which is the same as a stop.
            _ = phase.wait_for(|phase| *phase > Phase::Running) => {}
            _ = link.wait_for(|link| matches!(link, LinkState::Stopped)) => {}
            () = self.renew_for_ever() => {}
        }
    }

    async fn renew_for_ever(&self) {
        let (mut round, mut complained) = (0_u32, None);
        loop {
            // Workers that started together need not ask together.
            tokio::time::sleep(EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            round = round.wrapping_add(1);
            complained = self.renew(round, complained).await;
        }
    }

    /// One round; the complaint that was made last goes in, and comes out if it is to be made no more.
    async fn renew(&self, round: u32, complained: Option<String>) -> Option<String> {
        let link = self.link.state().borrow().clone();
        let (_, session) = link.session()?;
        let with_ladder = round.is_multiple_of(LADDER_ROUND) && self.successors.has_delayed();
        let declarations = if with_ladder {
            self.successors.declarations_for_delays()
        } else {
            self.successors.declarations()
        };
        let error = ensure(&**session, self.mode, declarations).await.err()?;
        if !error.is_final() {
            tracing::debug!(queue = self.successors.queue(), %error, "what the queue needs cannot be declared anew now");
            return complained;
        }
        let complaint = error.to_string();
        if complained.as_ref() != Some(&complaint) {
            tracing::warn!(queue = self.successors.queue(), %error, "what the queue needs is no longer there as it was");
        }
        Some(complaint)
    }
}
