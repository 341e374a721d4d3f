//! Declaring again, every now and then, what queues need: [`Upkeep`]. A deleted queue cancels its consumer, and what is published to a deleted exchange
//! comes back. But of an exchange or a binding that the broker itself uses, for a dead letter or a job whose wait is over, nobody hears that it is
//! gone: such a job stays where it is until the exchange is made anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leveret::broker::{Declaration, Session};
use leveret::runtime::{Link, LinkState};
use leveret::topology::ensure;
use leveret::{Rabbit, TopologyMode, watch};

use crate::dispatcher::Phase;
use crate::settling::Successors;

/// How often, on average: an equal declaration changes nothing, but it is a question to the broker, a dozen for each queue of each worker, and
/// a hundred for the delay ladder.
const EVERY: Duration = Duration::from_secs(60);

/// The upkeep of all queues of a worker.
#[derive(Debug)]
pub(crate) struct Upkeep {
    queues: Vec<Arc<Successors>>,
    /// Dispatchers declare what they need whenever this is new.
    link: Link,
    mode: TopologyMode,
    phase: watch::Receiver<Phase>,
    /// What was complained about last, by queue: once is enough.
    complaints: BTreeMap<String, String>,
}

impl Upkeep {
    /// `None` where there is nothing to declare.
    pub(crate) fn new(queues: Vec<Arc<Successors>>, rabbit: &Rabbit, phase: watch::Receiver<Phase>) -> Option<Self> {
        let mode = rabbit.options().topology_mode();
        let declares = matches!(mode, TopologyMode::Declare | TopologyMode::Minimal);
        (declares && !queues.is_empty()).then(|| Self {
            queues,
            link: rabbit.consuming(),
            mode,
            phase,
            complaints: BTreeMap::new(),
        })
    }

    /// Goes on until the worker shuts down, or its connections are closed for good.
    pub(crate) async fn run(mut self) {
        let (mut phase, mut link) = (self.phase.clone(), self.link.state());
        tokio::select! {
            biased;
            // An error means that the worker is gone, or the supervisor, which is the same as a stop.
            _ = phase.wait_for(|phase| *phase > Phase::Running) => {}
            _ = link.wait_for(|link| matches!(link, LinkState::Stopped)) => {}
            () = self.renew_for_ever() => {}
        }
    }

    async fn renew_for_ever(&mut self) {
        loop {
            // Workers that started together need not ask together.
            tokio::time::sleep(EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            let link = self.link.state().borrow().clone();
            if let Some((_, session)) = link.session() {
                self.renew(&**session).await;
            }
        }
    }

    async fn renew(&mut self, session: &dyn Session) {
        let mut ladder = None;
        for queue in self.queues.clone() {
            self.declare(session, queue.queue(), queue.declarations()).await;
            if queue.has_delayed() {
                ladder = Some(queue);
            }
        }
        // All queues have the same one.
        if let Some(queue) = ladder {
            self.declare(session, queue.queue(), queue.declarations_for_delays())
                .await;
        }
    }

    async fn declare(&mut self, session: &dyn Session, queue: &str, declarations: &[Declaration]) {
        let Err(error) = ensure(session, self.mode, declarations).await else {
            return;
        };
        let complaint = error.to_string();
        if !error.is_final() {
            tracing::debug!(queue, %error, "what the queue needs cannot be declared again now");
        } else if self.complaints.get(queue) != Some(&complaint) {
            tracing::warn!(queue, %error, "what the queue needs is no longer there as it was");
            self.complaints.insert(queue.to_owned(), complaint);
        }
    }
}
