//! The task behind a fetcher: it owns the channel, and every job that was fetched and not settled.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use leveret::broker::{Delivery, Lease, Puller};
use leveret::runtime::LinkState;
use leveret::{Queue, Rabbit, watch};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::connecting::PATIENCE;
use super::error::FetchError;
use super::fetched::{Decision, Pulled, Settled, Terms};
use crate::cancellation::Switch;
use crate::config::MAX_PREFETCH;
use crate::context::{Attempt, Surroundings};
use crate::report::QueueReport;
use crate::settling::{Sent, Successor, Successors, read};
use crate::states::States;
use crate::terms::{Retrying, Terms as RetryTerms};

/// How many jobs may be fetched and not settled.
const MOST: usize = MAX_PREFETCH as usize;

/// What the fetcher asks of its keeper.
#[derive(Debug)]
pub(super) enum Request {
    Fetch { terms: Terms, reply: Asker },
    Close { reply: oneshot::Sender<QueueReport> },
}

/// Who waits for a fetched message.
type Asker = oneshot::Sender<Result<Option<Pulled>, FetchError>>;

type Deciding = Pin<Box<dyn Future<Output = (u64, Option<Decision>)> + Send>>;

/// Owns the channel and what was fetched on it. Everything in it is written by its own task only.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) place: Place,
    requests: mpsc::Receiver<Request>,
    pub(super) link: watch::Receiver<LinkState>,
    pub(super) channel: Option<Channel>,
    pub(super) held: BTreeMap<u64, Held>,
    tasks: Tasks,
    pub(super) report: QueueReport,
}

/// What stays the same.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) queue: Queue,
    pub(super) rabbit: Rabbit,
    pub(super) successors: Successors,
    surroundings: Arc<Surroundings>,
}

/// The open channel, and the connection that it is one of.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) generation: u64,
    pub(super) puller: Box<dyn Puller>,
}

/// What is awaited besides requests.
#[derive(Debug, Default)]
struct Tasks {
    /// What shall happen to each job in hand, as soon as that is known.
    decisions: FuturesUnordered<Deciding>,
    /// Successors under way.
    sendings: JoinSet<(u64, Sent)>,
    last_number: u64,
}

/// One job in hand.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) attempt: Arc<Attempt>,
    /// What settles it; `None` once its channel is gone.
    pub(super) lease: Option<Lease>,
    /// When it was fetched, on the clock of the connections.
    pub(super) fetched: Duration,
    pub(super) sending: Option<Sending>,
}

/// A successor under way, and who waits for it.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) successor: Arc<Successor>,
    /// Dropping it takes the successor back, if that was not sent yet.
    pub(super) withdraw: Option<oneshot::Sender<()>>,
    pub(super) reply: Reply,
}

/// Where the end of a settlement is told, if somebody waits.
pub(super) type Reply = Option<oneshot::Sender<Result<Settled, FetchError>>>;

/// What happened.
enum Step {
    Decided(u64, Option<Decision>),
    Sent(u64, Sent),
    Reconnected,
    Asked(Option<Request>),
}

impl Keeper {
    pub(super) fn new(queue: Queue, rabbit: &Rabbit, requests: mpsc::Receiver<Request>) -> Self {
        let name = rabbit.options().name().to_owned();
        let surroundings = Surroundings {
            queue: queue.name().to_owned(),
            worker: name.clone(),
            states: Arc::new(States::default()),
            producer: Some(rabbit.producer()),
        };
        Self {
            place: Place {
                successors: Successors::new(queue.clone(), name, rabbit),
                queue,
                rabbit: rabbit.clone(),
                surroundings: Arc::new(surroundings),
            },
            requests,
            link: rabbit.consuming().state(),
            channel: None,
            held: BTreeMap::new(),
            tasks: Tasks::default(),
            report: QueueReport::default(),
        }
    }

    /// Serves until the fetcher is closed or gone.
    pub(super) async fn run(mut self) {
        loop {
            match self.step().await {
                Step::Decided(number, decision) => self.decided(number, decision).await,
                Step::Sent(number, sent) => self.successor_ended(number, sent).await,
                Step::Reconnected => self.follow(),
                Step::Asked(Some(Request::Fetch { terms, mut reply })) => {
                    let fetched = self.fetch(terms, &mut reply).await;
                    // If nobody waits any more, the job comes back out of the channel, and goes back to its queue.
                    drop(reply.send(fetched));
                }
                Step::Asked(Some(Request::Close { reply })) => {
                    self.close().await;
                    let _ = reply.send(self.report);
                    return;
                }
                Step::Asked(None) => return,
            }
        }
    }

    async fn step(&mut self) -> Step {
        tokio::select! {
            biased;
            Some((number, decision)) = self.tasks.decisions.next() => Step::Decided(number, decision),
            Some(Ok((number, sent))) = self.tasks.sendings.join_next() => Step::Sent(number, sent),
            // When there will be no other connection, this waits for nothing.
            Ok(()) = self.link.changed() => Step::Reconnected,
            request = self.requests.recv() => Step::Asked(request),
        }
    }

    /// Takes the next message, over lost connections if need be, and as long as somebody waits for it.
    async fn fetch(&mut self, terms: Terms, asker: &mut Asker) -> Result<Option<Pulled>, FetchError> {
        if self.held.len() >= MOST {
            return Err(FetchError::too_many(self.place.queue.name(), MOST));
        }
        let (end, mut tries) = (Instant::now() + PATIENCE, 0);
        loop {
            // Only the waiting is given up, never a pull: its message would be on its way to nobody.
            tokio::select! {
                biased;
                () = asker.closed() => return Err(FetchError::closed()),
                opened = self.open_until(end) => opened?,
            }
            let Some(channel) = &mut self.channel else { continue };
            let error = match channel.puller.pull().await {
                Ok(Some(delivery)) => return Ok(Some(self.admit(delivery, terms))),
                Ok(None) => return Ok(None),
                Err(error) => error,
            };
            tries += 1;
            tokio::select! {
                biased;
                () = asker.closed() => return Err(FetchError::closed()),
                failed = self.failed(error, end, tries) => failed?,
            }
        }
    }

    fn admit(&mut self, delivery: Delivery, terms: Terms) -> Pulled {
        let Delivery {
            message,
            redelivered,
            lease,
        } = delivery;
        let (incoming, fault) = read(&message);
        let attempt = Arc::new(Attempt {
            timeout: incoming.timeout.unwrap_or(terms.timeout),
            retrying: Retrying::new(Arc::new(RetryTerms::of(terms.policy))),
            message,
            incoming,
            redelivered,
            surroundings: Arc::clone(&self.place.surroundings),
            switch: Switch::default(),
        });
        self.tasks.last_number += 1;
        let number = self.tasks.last_number;
        let (decision, decided) = oneshot::channel();
        // A sender that was dropped decides as well.
        self.tasks
            .decisions
            .push(Box::pin(async move { (number, decided.await.ok()) }));
        let held = Held {
            attempt: Arc::clone(&attempt),
            lease: Some(lease),
            fetched: self.place.rabbit.clock().now(),
            sending: None,
        };
        self.held.insert(number, held);
        Pulled {
            attempt,
            fault,
            decision,
            clock: self.place.rabbit.clock(),
        }
    }

    pub(super) fn spawn(&mut self, number: u64, sending: impl Future<Output = Sent> + Send + 'static) {
        self.tasks.sendings.spawn(async move { (number, sending.await) });
    }

    /// Ends in order: the settlements under way, then the channel, which gives back the rest.
    async fn close(&mut self) {
        let deadline = Instant::now() + self.place.rabbit.options().deadlines().close;
        while let Ok(Some(Ok((number, sent)))) = timeout_at(deadline, self.tasks.sendings.join_next()).await {
            self.successor_ended(number, sent).await;
        }
        self.report.left_unacked = self.held.len() as u64;
        if let Some(channel) = self.channel.take() {
            channel.puller.close().await;
        }
    }
}
