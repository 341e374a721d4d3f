//! A lane: one ledger, one publishing channel at a time, and the task that owns both. Callers hold a cheap handle.
//!
//! A process has one lane for what the application enqueues and one for the successors of a worker's jobs (retries, dead
//! letters), each with a share of memory of its own, so that handlers that enqueue cannot starve retries.

mod channel;
mod room;
mod task;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::clock::Clock;
use crate::connect::TopologyMode;
use crate::id::JobId;
use crate::ledger::{Entry, Fate, NewEntry, Settings, Target};
use crate::message::Message;
use crate::supervisor::Link;
use crate::watch;
pub(crate) use room::RoomLimits;
use room::{Room, RoomTaken};
use task::LaneTask;

/// How many publishes one channel has on the wire at the most. More brings no speed, and the client library looks at all of
/// them at each `multiple` confirm.
const WINDOW: usize = 1_500;

/// Something to publish.
#[derive(Debug)]
pub struct Publish {
    /// Where to, and what must be there.
    pub target: Target,
    /// The message; it must have a `message_id`.
    pub message: Message,
    /// How long the caller waits for the confirm, waiting for room in the ledger included.
    pub timeout: Duration,
}

/// A handle to a lane. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lane {
    commands: mpsc::Sender<Command>,
    room: Arc<Room>,
    tickets: Arc<AtomicU64>,
    clock: Clock,
}

/// What the handles ask of the task. The channel holds two commands for each entry that the ledger has room for, a publish and a
/// withdrawal, so sending one never has to wait.
#[derive(Debug)]
enum Command {
    Publish(Box<Entry<Waiter>>),
    Withdraw { ticket: u64 },
}

/// Whoever waits for one entry.
#[derive(Debug)]
struct Waiter {
    ticket: u64,
    reply: oneshot::Sender<Result<(), Fate>>,
    /// Given back when the entry is resolved.
    _room: RoomTaken,
}

/// What a lane is made from.
#[derive(Debug)]
pub(crate) struct LaneSettings {
    pub(crate) link: Link,
    pub(crate) clock: Clock,
    pub(crate) mode: TopologyMode,
    pub(crate) limits: RoomLimits,
    /// How long the ledger may still empty itself after a stop.
    pub(crate) flush: Duration,
}

/// Makes a lane and its task, for the caller to spawn. The task ends after `stop` turned true and the ledger emptied itself.
pub(crate) fn lane(settings: LaneSettings, stop: watch::Receiver<bool>) -> (Lane, impl Future<Output = ()> + Send) {
    let (commands, receiver) = mpsc::channel(
        settings
            .limits
            .entries
            .saturating_mul(2)
            .clamp(1, Semaphore::MAX_PERMITS),
    );
    let room = Arc::new(Room::new(settings.limits));
    let lane = Lane {
        commands,
        room: Arc::clone(&room),
        tickets: Arc::new(AtomicU64::new(0)),
        clock: settings.clock,
    };
    let ledger = Settings {
        window: WINDOW,
        prepare: settings.mode != TopologyMode::None,
        redeclare: settings.mode.declares(),
    };
    let task = LaneTask::new(settings, ledger, receiver, room);
    (lane, task.run(stop))
}

impl Lane {
    /// Publishes: resolves as soon as the lane has taken responsibility, which may wait for room in its ledger. Dropping
    /// this future before then sends nothing.
    pub async fn publish(&self, publish: Publish) -> Publishing {
        // Mostly there is room, and no timer is needed.
        let publish = match self.try_publish(publish) {
            Ok(publishing) => return publishing,
            Err(publish) => publish,
        };
        let deadline = self.clock.now().saturating_add(publish.timeout);
        let room = tokio::time::timeout(publish.timeout, self.room.take(publish.message.size())).await;
        match room {
            Ok(Some(room)) => self.accept(id_of(&publish.message), *publish, deadline, room),
            Ok(None) | Err(_) => Publishing::ended(Err(Fate::NotSent)),
        }
    }

    /// Publishes if there is room in the ledger now; otherwise gives the publish back.
    ///
    /// # Errors
    /// The publish itself, when the ledger is full or the lane has stopped.
    pub fn try_publish(&self, publish: Publish) -> Result<Publishing, Box<Publish>> {
        self.try_publish_as(id_of(&publish.message), publish)
    }

    /// The same for whoever has the message's id at hand.
    pub(crate) fn try_publish_as(&self, id: JobId, publish: Publish) -> Result<Publishing, Box<Publish>> {
        let deadline = self.clock.now().saturating_add(publish.timeout);
        match self.room.try_take(publish.message.size()) {
            Some(room) => Ok(self.accept(id, publish, deadline, room)),
            None => Err(Box::new(publish)),
        }
    }

    /// Whether the lane takes nothing any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.room.is_closed()
    }

    /// Whether everything that it was given is resolved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.room.is_empty()
    }

    /// Waits until everything that it was given is resolved.
    pub async fn emptied(&self) {
        self.room.emptied().await;
    }

    fn accept(&self, id: JobId, publish: Publish, deadline: Duration, room: RoomTaken) -> Publishing {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let Publish { target, message, .. } = publish;
        let waiter = Waiter {
            ticket,
            reply,
            _room: room,
        };
        let entry = Entry::new(NewEntry {
            id,
            target,
            message,
            deadline,
            waiter,
        });
        match self.commands.try_send(Command::Publish(entry)) {
            Ok(()) => Publishing {
                answer: Answer::Awaited(answer),
                withdraw: Some((ticket, self.commands.clone())),
            },
            // There is a place for every entry that has room, so this lane has stopped.
            Err(_) => Publishing::ended(Err(Fate::NotSent)),
        }
    }
}

fn id_of(message: &Message) -> JobId {
    let id = message.properties.message_id.as_deref();
    id.and_then(|id| JobId::of(id.into()).ok())
        .unwrap_or_else(JobId::temporary)
}

/// A publish that a lane is responsible for. Dropping it changes nothing.
#[derive(Debug)]
pub struct Publishing {
    answer: Answer,
    withdraw: Option<(u64, mpsc::Sender<Command>)>,
}

#[derive(Debug)]
enum Answer {
    Awaited(oneshot::Receiver<Result<(), Fate>>),
    Known(Result<(), Fate>),
}

impl Publishing {
    fn ended(result: Result<(), Fate>) -> Self {
        Self {
            answer: Answer::Known(result),
            withdraw: None,
        }
    }

    /// How it ended, where the lane did not even take it.
    pub(crate) fn not_taken(&self) -> Option<Fate> {
        match &self.answer {
            Answer::Known(Err(fate)) => Some(fate.clone()),
            _ => None,
        }
    }

    /// Takes it back if it was never sent; it then resolves to [`Fate::NotSent`]. What was sent goes on.
    pub fn withdraw(&mut self) {
        if let Some((ticket, commands)) = self.withdraw.take() {
            // It fails only when the lane has stopped, and then there is nothing left to withdraw.
            let _ = commands.try_send(Command::Withdraw { ticket });
        }
    }
}

impl Future for Publishing {
    type Output = Result<(), Fate>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.answer {
            Answer::Known(result) => Poll::Ready(result.clone()),
            Answer::Awaited(answer) => Pin::new(answer).poll(cx).map(|answer| {
                // The task was aborted with the entry in it: whether it was sent, nobody knows any more.
                let result = answer.unwrap_or(Err(Fate::Unknown));
                self.answer = Answer::Known(result.clone());
                result
            }),
        }
    }
}
