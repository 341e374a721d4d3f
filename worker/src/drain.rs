//! Running until nothing is left to do: when that is, and what it leaves unseen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leveret::broker::{BrokerError, BrokerErrorKind, QueueDepth, Session};
use leveret::topology::Topology;
use leveret::{Backoff, Queue, Rabbit};

use crate::health::QueueState;
use crate::joined::{may_be_missing, sources};
use crate::pulse::Beat;
use crate::run_error::RunError;
use crate::running::Controls;

/// The waits before the broker is asked. The first is also what lies between the two looks that end a drain: deliveries that the
/// broker had sent before the first look arrive in it.
const PACE: Backoff = Backoff::exponential("100ms", "5s");

/// What is added to two heartbeats before a lost connection counts as forgotten by the broker as well.
const NOTICED: Duration = Duration::from_secs(5);

/// The least that two heartbeats are taken for.
const TWO_HEARTBEATS: Duration = Duration::from_secs(20);

type Depths = BTreeMap<String, QueueDepth>;

/// Watches a worker until there is nothing left for it to do.
#[derive(Debug)]
pub(crate) struct Drain {
    rabbit: Rabbit,
    controls: Arc<Controls>,
    topology: Topology,
    /// Where the jobs of each queue are that can be run.
    sources: BTreeMap<String, Vec<String>>,
    /// How full the queues were when they were last asked.
    last: Depths,
}

impl Drain {
    pub(crate) fn new(rabbit: Rabbit, controls: Arc<Controls>, queues: &[Queue]) -> Self {
        let topology = Topology::new(rabbit.options().name_prefix());
        let of_queue = |queue: &Queue| {
            let suspects = topology.suspect_queue(queue);
            let of_work = (queue.name().to_owned(), sources(&topology, queue));
            [of_work, (suspects.clone(), vec![suspects])]
        };
        Self {
            sources: queues.iter().flat_map(of_queue).collect(),
            topology,
            rabbit,
            controls,
            last: Depths::new(),
        }
    }

    /// Resolves once two looks in succession found nothing to do and nothing has come in between.
    ///
    /// # Errors
    /// [`RunError`] if the broker refuses to be asked.
    pub(crate) async fn emptied(&mut self) -> Result<(), RunError> {
        let (mut empty_looks, mut asked) = (0, 0);
        loop {
            self.idle().await;
            let before = self.beats();
            tokio::time::sleep(PACE.wait(asked + 1, 1.0)).await;
            if !self.rests_since(&before) {
                (empty_looks, asked) = (0, 0);
                continue;
            }
            let empty = match self.look().await? {
                Some(depths) => depths.values().all(|depth| depth.ready == 0) && !self.waits_for_ghosts(&depths),
                None => false,
            };
            if !empty || !self.rests_since(&before) {
                (empty_looks, asked) = (0, asked + 1);
                continue;
            }
            (empty_looks, asked) = (empty_looks + 1, 0);
            if empty_looks == 2 {
                return Ok(());
            }
        }
    }

    /// Waits until every queue is consumed, nothing is in hand, and what was enqueued here is stored.
    async fn idle(&self) {
        let mut board = self.controls.board.subscribe();
        while !self.is_idle() {
            // The controls keep the sender, so this wait cannot fail.
            drop(board.wait_for(all_consumed).await);
            self.controls.load.gone().await;
            self.rabbit.enqueues().emptied().await;
        }
    }

    fn is_idle(&self) -> bool {
        let is_free = self.controls.load.is_none() && self.rabbit.enqueues().is_empty();
        is_free && all_consumed(&self.controls.board.borrow())
    }

    /// Whether it is idle and has not been busy since.
    fn rests_since(&self, before: &BTreeMap<String, Beat>) -> bool {
        self.is_idle() && self.beats() == *before
    }

    fn beats(&self) -> BTreeMap<String, Beat> {
        let beats = self.controls.pulses.iter();
        beats.map(|(queue, pulse)| (queue.clone(), pulse.now())).collect()
    }

    /// Asks how full each queue is; `None` if that cannot be told now.
    async fn look(&mut self) -> Result<Option<Depths>, RunError> {
        let Some(session) = self.session() else { return Ok(None) };
        match self.ask(&*session).await {
            Ok(depths) => {
                self.last.clone_from(&depths);
                Ok(Some(depths))
            }
            Err((queue, error)) if error.kind() == BrokerErrorKind::Permission => Err(RunError::depth(queue, error)),
            Err((queue, error)) => {
                tracing::debug!(queue, %error, "how full it is cannot be told now");
                Ok(None)
            }
        }
    }

    fn session(&self) -> Option<Arc<dyn Session>> {
        let state = self.rabbit.consuming().state();
        let state = state.borrow();
        state.session().map(|(_, session)| Arc::clone(session))
    }

    async fn ask(&self, session: &dyn Session) -> Result<Depths, (String, BrokerError)> {
        let mode = self.rabbit.options().topology_mode();
        let mut depths = Depths::new();
        for (queue, sources) in &self.sources {
            let mut sum = QueueDepth { ready: 0, consumers: 0 };
            for (at, source) in sources.iter().enumerate() {
                let depth = match session.inspect(source).await {
                    Ok(depth) => depth,
                    Err(error) if may_be_missing(&error, mode) && at + 1 < sources.len() => continue,
                    Err(error) => return Err((source.clone(), error)),
                };
                sum.ready += depth.ready;
                sum.consumers = sum.consumers.max(depth.consumers);
            }
            depths.insert(queue.clone(), sum);
        }
        Ok(depths)
    }

    /// How many jobs of all queues are not due yet; `None` if that cannot be told.
    async fn count_delayed(&self) -> Option<u32> {
        let session = self.session()?;
        let mut delayed = 0;
        for level in self.topology.delay_queues() {
            match session.inspect(&level).await {
                Ok(depth) => delayed += depth.ready,
                // Nobody has delayed anything yet.
                Err(error) if error.kind() == BrokerErrorKind::NotFound => break,
                Err(_) => return None,
            }
        }
        Some(delayed)
    }

    /// Whether the broker may not have noticed yet that a channel of this worker is gone: it then still counts that channel's consumer, and
    /// what was delivered there is neither ready nor here.
    fn waits_for_ghosts(&self, depths: &Depths) -> bool {
        let heartbeat = Duration::from_secs(self.rabbit.options().heartbeat_seconds().into());
        let noticed = (heartbeat * 2).max(TWO_HEARTBEATS) + NOTICED;
        let now = self.rabbit.clock().now();
        let may_haunt = |queue: &str, beat: &Beat| {
            let others = depths.get(queue).is_some_and(|depth| depth.consumers > 1);
            others && beat.lost_at.is_some_and(|lost| now.saturating_sub(lost) < noticed)
        };
        self.beats().iter().any(|(queue, beat)| may_haunt(queue, beat))
    }

    /// A last look, after the worker has ended: what is left, and what it could not see.
    pub(crate) async fn unseen(mut self, drained: bool) -> Unseen {
        // Without an answer the last one is told; the worker's own consumers are in that.
        let asked_anew = matches!(self.look().await, Ok(Some(_)));
        let own = u32::from(!asked_anew);
        let queues = self.last.iter().map(|(queue, depth)| {
            let seen = LastSeen {
                ready: depth.ready,
                other_consumers: depth.consumers.saturating_sub(own),
            };
            (queue.clone(), seen)
        });
        Unseen {
            drained,
            queues: queues.collect(),
            delayed: self.count_delayed().await,
        }
    }
}

/// Whether each queue is consumed, be it one job at a time: a probing goes on for as long as the queue is empty.
fn all_consumed(states: &BTreeMap<String, QueueState>) -> bool {
    let is_consumed = |state: &QueueState| matches!(state, QueueState::Consuming | QueueState::Probing { .. });
    states.values().all(is_consumed)
}

/// What a drain left behind, and what it could not see.
///
/// An empty queue is what the broker says of it. It does not say what other workers hold of the queue: their jobs may come
/// back. Neither does it count what was published after the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unseen {
    drained: bool,
    queues: BTreeMap<String, LastSeen>,
    delayed: Option<u32>,
}

/// One queue as it was last seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastSeen {
    /// Jobs that were ready for a worker.
    pub ready: u32,
    /// Consumers of other workers. How many jobs they hold cannot be seen; without any, nobody holds one.
    pub other_consumers: u32,
}

impl Unseen {
    pub(crate) fn is_drained(&self) -> bool {
        self.drained
    }

    /// A queue as it was last seen; `None` if the broker could never be asked.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<LastSeen> {
        self.queues.get(name).copied()
    }

    /// How many delayed jobs and retries were not due yet, those of all queues on the broker together: which are whose cannot be seen. A drain does
    /// not wait for them. `None` if the broker could not be asked.
    #[must_use]
    pub fn delayed(&self) -> Option<u32> {
        self.delayed
    }

    /// All queues by name, as they were last seen.
    pub fn queues(&self) -> impl Iterator<Item = (&str, LastSeen)> {
        self.queues.iter().map(|(name, seen)| (name.as_str(), *seen))
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.drained { "drained" } else { "not drained" })?;
        for (queue, LastSeen { ready, other_consumers }) in self.queues() {
            write!(
                f,
                "; {queue}: {ready} ready when last asked, {other_consumers} other consumers"
            )?;
            if other_consumers > 0 {
                f.write_str(" (what they hold cannot be seen)")?;
            }
        }
        match self.delayed {
            None | Some(0) => Ok(()),
            Some(delayed) => write!(f, "; {delayed} delayed jobs of all queues not due yet"),
        }
    }
}
