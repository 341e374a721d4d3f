//! Taking from several queues as if they were one: a queue with a length limit, and the one beside it for its due jobs.

use std::task::{Context, Poll};

use async_trait::async_trait;
use leveret::broker::{
    BrokerError, BrokerErrorKind, Consumer, ConsumerEvent, Delivery, Lease, Puller, Session, Settlement,
};
use leveret::topology::Topology;
use leveret::{Queue, TopologyMode};

/// The names of the queues that a queue's jobs are in: where there are two, the due jobs come first, because they have waited.
pub(crate) fn sources(topology: &Topology, queue: &Queue) -> Vec<String> {
    topology
        .due_queue(queue)
        .into_iter()
        .chain([queue.name().to_owned()])
        .collect()
}

/// The same, and the queue of its suspects.
#[cfg(feature = "testing")]
pub(crate) fn all_sources(topology: &Topology, queue: &Queue) -> Vec<String> {
    let mut all = sources(topology, queue);
    all.push(topology.suspect_queue(queue));
    all
}

/// The consumers of one queue's sources. They share its slots; each has the prefetch, or one that is idle would cost the other slots.
#[derive(Debug)]
pub(crate) struct JoinedConsumer {
    parts: Vec<Part>,
    /// Which is asked first, so that none of them waits for the others.
    turn: usize,
    /// Whether it was told to stop: then the end of one is not the end of all.
    halted: bool,
    /// Of each part.
    prefetch: u16,
}

#[derive(Debug)]
struct Part {
    source: String,
    consumer: Box<dyn Consumer>,
    ended: bool,
    /// What has come.
    delivered: u64,
    /// What of it is not settled.
    held: usize,
    /// What is settled and the broker does not know.
    untold: usize,
}

/// What has come from one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intake {
    pub(crate) source: String,
    pub(crate) delivered: u64,
    /// Whether more could come.
    pub(crate) has_room: bool,
}

impl JoinedConsumer {
    /// Consumes them all, each on a channel of its own.
    pub(crate) async fn open(
        session: &dyn Session,
        sources: &[String],
        prefetch: u16,
        mode: TopologyMode,
    ) -> Result<Self, BrokerError> {
        let mut parts = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            match session.consume(source, prefetch).await {
                Ok(consumer) => parts.push(Part {
                    source: source.clone(),
                    consumer,
                    ended: false,
                    delivered: 0,
                    held: 0,
                    untold: 0,
                }),
                Err(error) if may_be_missing(&error, mode) && at + 1 < sources.len() => tell_missing(source),
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            parts,
            turn: 0,
            halted: false,
            prefetch,
        })
    }

    /// How much each of them fetches.
    pub(crate) fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// Whether one of them has as much as it may fetch, as far as the broker knows: then nothing is under way to it.
    pub(crate) fn is_full(&self) -> bool {
        let full = |part: &Part| part.held + part.untold >= usize::from(self.prefetch);
        self.parts.iter().any(full)
    }

    /// How much is settled and the broker does not know.
    pub(crate) fn untold(&self) -> usize {
        self.parts.iter().map(|part| part.untold).sum()
    }

    /// What has come from each source.
    pub(crate) fn intakes(&self) -> impl Iterator<Item = Intake> {
        self.parts.iter().map(|part| Intake {
            source: part.source.clone(),
            delivered: part.delivered,
            has_room: part.held < usize::from(self.prefetch),
        })
    }

    /// Whether nothing comes any more from any of them.
    pub(crate) fn is_over(&self) -> bool {
        self.parts.iter().all(|part| part.ended)
    }

    /// The next event of any of them. The first [`ConsumerEvent::Cancelled`] that nobody asked for is told at once; the others go on until they
    /// are cancelled as well.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ConsumerEvent> {
        let count = self.parts.len();
        self.turn = (self.turn + 1) % count;
        for at in 0..count {
            let part = &mut self.parts[(self.turn + at) % count];
            if part.ended {
                continue;
            }
            let Poll::Ready(event) = part.consumer.poll_event(cx) else {
                continue;
            };
            part.ended = !matches!(event, ConsumerEvent::Delivery(_));
            part.delivered += u64::from(!part.ended);
            part.held += usize::from(!part.ended);
            if matches!(event, ConsumerEvent::Cancelled) && self.halted && !self.is_over() {
                // Those before it in this round were asked, and wake the task by themselves.
                continue;
            }
            return Poll::Ready(event);
        }
        Poll::Pending
    }

    /// Settles with whichever gave the lease.
    pub(crate) fn settle(&mut self, lease: Lease, settlement: Settlement) -> Result<(), Lease> {
        offer(self.parts.iter_mut(), lease, |part, lease| {
            part.consumer.settle(lease, settlement)?;
            part.held = part.held.saturating_sub(1);
            part.untold += 1;
            Ok(())
        })
    }

    pub(crate) fn flush(&mut self) {
        for part in &mut self.parts {
            part.untold = 0;
            part.consumer.flush();
        }
    }

    pub(crate) fn flush_prefix(&mut self) {
        for part in &mut self.parts {
            part.untold = part.consumer.flush_prefix();
        }
    }

    /// Cancels those that are not.
    pub(crate) async fn cancel(&mut self) -> Result<(), BrokerError> {
        self.halted = true;
        for part in self.parts.iter_mut().filter(|part| !part.ended) {
            part.consumer.cancel().await?;
        }
        Ok(())
    }

    pub(crate) async fn close(self) {
        for part in self.parts {
            part.consumer.close().await;
        }
    }
}

/// The pullers of one queue's sources; the first that has a message gives it.
#[derive(Debug)]
pub(crate) struct JoinedPuller {
    parts: Vec<Box<dyn Puller>>,
}

impl JoinedPuller {
    /// A channel for each.
    pub(crate) async fn open(
        session: &dyn Session,
        sources: &[String],
        mode: TopologyMode,
    ) -> Result<Self, BrokerError> {
        let mut parts = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            // A puller opens without its queue, and only its first pull would fail.
            if mode == TopologyMode::None && at + 1 < sources.len() {
                match session.inspect(source).await {
                    Ok(_) => {}
                    Err(error) if may_be_missing(&error, mode) => {
                        tell_missing(source);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            parts.push(session.puller(source).await?);
        }
        Ok(Self { parts })
    }
}

#[async_trait]
impl Puller for JoinedPuller {
    async fn pull(&mut self) -> Result<Option<Delivery>, BrokerError> {
        for part in &mut self.parts {
            if let Some(delivery) = part.pull().await? {
                return Ok(Some(delivery));
            }
        }
        Ok(None)
    }

    fn settle(&mut self, lease: Lease, settlement: Settlement) -> Result<(), Lease> {
        let pullers = self.parts.iter_mut().map(|part| &mut **part);
        offer(pullers, lease, |puller, lease| puller.settle(lease, settlement))
    }

    async fn flush(&mut self) -> Result<(), BrokerError> {
        for part in &mut self.parts {
            part.flush().await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) {
        for part in self.parts {
            part.close().await;
        }
    }
}

/// Offers a lease to each until one takes it.
fn offer<T>(
    takers: impl Iterator<Item = T>,
    lease: Lease,
    mut settle: impl FnMut(T, Lease) -> Result<(), Lease>,
) -> Result<(), Lease> {
    let mut refused = lease;
    for taker in takers {
        match settle(taker, refused) {
            Ok(()) => return Ok(()),
            Err(lease) => refused = lease,
        }
    }
    Err(refused)
}

/// Who declares nothing may never have made the queue for due jobs: without delays none is needed.
pub(crate) fn may_be_missing(error: &BrokerError, mode: TopologyMode) -> bool {
    error.kind() == BrokerErrorKind::NotFound && mode == TopologyMode::None
}

fn tell_missing(queue: &str) {
    tracing::warn!(
        queue,
        "there is no such queue: delayed jobs and retries of a queue with a length limit become due in it"
    );
}
