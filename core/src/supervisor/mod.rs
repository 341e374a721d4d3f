//! One supervised connection: it is opened, watched, and replaced for as long as the process wants it. There is one owner of
//! recovery, this one; the client library's own recovery stays off. The supervisor never sees a job.

mod pace;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::broker::{Broker, BrokerError, Health, Session};
use crate::clock::Clock;
use crate::watch;
use pace::Pace;

/// A connection that stood this long was a good one: the wait after it is a short one again.
const LASTING: Duration = Duration::from_secs(5);

/// A supervised connection, as its users see it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    state: watch::Receiver<LinkState>,
}

/// What a supervised connection is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LinkState {
    /// Not connected; it is being tried.
    Down {
        /// Since when.
        since: SystemTime,
        /// What went wrong last; `None` before the first try has ended.
        last_error: Option<BrokerError>,
    },
    /// Connected.
    Up {
        /// Which connection of this link it is, counted from 1.
        generation: u64,
        /// The connection.
        session: Arc<dyn Session>,
    },
    /// Connected, but the broker takes no publishes (a memory or disk alarm).
    Blocked {
        /// Which connection of this link it is, counted from 1.
        generation: u64,
        /// The connection.
        session: Arc<dyn Session>,
        /// The broker's reason.
        reason: String,
    },
    /// Closed for good, on request.
    Stopped,
}

impl LinkState {
    /// The connection and its number, if there is one.
    #[must_use]
    pub fn session(&self) -> Option<(u64, &Arc<dyn Session>)> {
        match self {
            Self::Up { generation, session }
            | Self::Blocked {
                generation, session, ..
            } => Some((*generation, session)),
            Self::Down { .. } | Self::Stopped => None,
        }
    }

    /// The number of the connection, if there is one.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.session().map(|(generation, _)| generation)
    }

    /// Whether it is connected and takes publishes.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }

    /// Whether the broker takes no publishes on it.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        matches!(self, Self::Blocked { .. })
    }
}

impl Link {
    /// The state now, and a way to wait for the next.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }
}

/// A link and the task that keeps it, for the caller to spawn. The task ends when `stop` turns true or its sender is gone.
pub(crate) fn supervise(
    broker: Arc<dyn Broker>,
    name: String,
    clock: Clock,
    stop: watch::Receiver<bool>,
) -> (Link, impl Future<Output = ()> + Send) {
    let down = LinkState::Down {
        since: clock.wall(),
        last_error: None,
    };
    let (state, receiver) = watch::channel(down);
    let supervisor = Supervisor {
        broker,
        name,
        clock,
        state,
        stop,
        generation: 0,
    };
    (Link { state: receiver }, supervisor.run())
}

struct Supervisor {
    broker: Arc<dyn Broker>,
    name: String,
    clock: Clock,
    state: watch::Sender<LinkState>,
    stop: watch::Receiver<bool>,
    generation: u64,
}

/// Why a connection is no longer watched.
enum Ended {
    Lost(BrokerError),
    Stopped(Arc<dyn Session>),
}

impl Supervisor {
    async fn run(mut self) {
        let mut pace = Pace::default();
        loop {
            let error = match self.connect().await {
                None => break,
                Some(Err(error)) => error,
                Some(Ok(session)) => {
                    let since = self.clock.now();
                    let ended = self.watch(session).await;
                    // One that ends as soon as it stands is no better than none.
                    if self.clock.now().saturating_sub(since) > LASTING {
                        pace = Pace::default();
                    }
                    match ended {
                        Ended::Lost(error) => error,
                        Ended::Stopped(session) => {
                            session.close().await;
                            break;
                        }
                    }
                }
            };
            self.down(&error);
            if self.pause(pace.next_wait(error.is_refusal(), fastrand::f64())).await {
                break;
            }
        }
        self.state.send_replace(LinkState::Stopped);
    }

    /// One try; `None` when asked to stop.
    async fn connect(&mut self) -> Option<Result<Arc<dyn Session>, BrokerError>> {
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => None,
            result = self.broker.connect(&self.name) => Some(result),
        }
    }

    /// Publishes the state of one connection until it ends.
    async fn watch(&mut self, session: Arc<dyn Session>) -> Ended {
        self.generation += 1;
        let generation = self.generation;
        let mut health = session.health();
        tracing::info!(connection = %self.name, generation, "connected");
        loop {
            let now = health.borrow_and_update().clone();
            let session_now = Arc::clone(&session);
            match now {
                Health::Open => self.state.send_replace(LinkState::Up {
                    generation,
                    session: session_now,
                }),
                Health::Blocked(reason) => {
                    tracing::warn!(connection = %self.name, reason, "the broker takes no publishes for now");
                    self.state.send_replace(LinkState::Blocked {
                        generation,
                        session: session_now,
                        reason,
                    })
                }
                Health::Closed(error) => return Ended::Lost(error),
            };
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return Ended::Stopped(session),
                changed = health.changed() => if changed.is_err() {
                    return Ended::Lost(BrokerError::new(crate::broker::BrokerErrorKind::Closed, "the connection was dropped"));
                },
            }
        }
    }

    /// Keeps the time at which the trouble began over any number of failed tries.
    fn down(&self, error: &BrokerError) {
        tracing::warn!(connection = %self.name, %error, "not connected; trying again");
        self.state.send_modify(|state| {
            let since = match state {
                LinkState::Down { since, .. } => *since,
                _ => self.clock.wall(),
            };
            *state = LinkState::Down {
                since,
                last_error: Some(error.clone()),
            };
        });
    }

    /// Waits before the next try; `true` when asked to stop.
    async fn pause(&mut self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => true,
            () = tokio::time::sleep(wait) => false,
        }
    }
}

/// Resolves once `stop` is true or can no longer become so.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which asks for the same.
    let _ = stop.wait_for(|stop| *stop).await;
}
