//! The task of a lane: it alone publishes on the lane's channel, and it alone changes the lane's ledger.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::channel::{Channel, ChannelEvent};
use super::room::Room;
use super::{Command, LaneSettings, Waiter};
use crate::broker::{BrokerError, BrokerErrorKind};
use crate::connect::TopologyMode;
use crate::ledger::{Ledger, Reply, Resolved, Settings};
use crate::supervisor::{LinkState, stopped};
use crate::topology::{TopologyError, ensure, look};
use crate::watch;

/// How many commands are taken in one turn.
const COMMANDS_A_TURN: usize = 256;
/// The pause after declarations that failed for want of a connection or an answer.
const DECLARE_PAUSE: Duration = Duration::from_millis(20);

/// A message that takes longer to be written is no measure of who answers.
const LONG_WRITE: Duration = Duration::from_millis(500);

type Declaring = Pin<Box<dyn Future<Output = (usize, Result<(), BrokerError>)> + Send>>;

pub(super) struct LaneTask {
    settings: LaneSettings,
    link: watch::Receiver<LinkState>,
    /// The connection that `channel` and `declaring` belong to.
    generation: Option<u64>,
    channel: Channel,
    declaring: FuturesUnordered<Declaring>,
    ledger: Ledger<Waiter>,
    commands: mpsc::Receiver<Command>,
    /// Commands that were taken and not obeyed yet. Its memory is used again, as that of `resolved`.
    taken: Vec<Command>,
    /// Empty but while somebody is told.
    resolved: Vec<Resolved<Waiter>>,
    /// Wakes the task at the ledger's next deadline, or earlier.
    alarm: Option<(Duration, Pin<Box<Sleep>>)>,
    /// What was being written when the alarm rang, and since when.
    writing: Option<(u64, Duration)>,
    room: Arc<Room>,
}

/// Why the task wakes up.
enum Wake {
    Link,
    Channel(ChannelEvent),
    Declared(usize, Result<(), BrokerError>),
    Commands,
    Alarm,
    Stop,
    /// The supervisor is gone: there will be no other connection.
    Orphaned,
}

impl LaneTask {
    pub(super) fn new(
        settings: LaneSettings,
        ledger: Settings,
        commands: mpsc::Receiver<Command>,
        room: Arc<Room>,
    ) -> Self {
        let link = settings.link.state();
        Self {
            settings,
            link,
            generation: None,
            channel: Channel::None,
            declaring: FuturesUnordered::new(),
            ledger: Ledger::new(ledger),
            commands,
            taken: Vec::new(),
            resolved: Vec::new(),
            alarm: None,
            writing: None,
            room,
        }
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.follow_link();
        // Once asked to stop, when to stop for good.
        let mut end: Option<Duration> = None;
        loop {
            self.pump();
            if end.is_some_and(|end| self.finished(end)) {
                break;
            }
            match self.next_wake(&mut stop, end).await {
                Wake::Link => self.follow_link(),
                Wake::Channel(event) => self.channel_event(event).await,
                Wake::Declared(line, result) => self.change(|ledger, out| ledger.declared(line, result, out)),
                Wake::Commands => self.obey(),
                Wake::Alarm => self.ring(),
                Wake::Orphaned => break,
                Wake::Stop => {
                    self.room.close();
                    end.get_or_insert(self.settings.clock.now().saturating_add(self.settings.flush));
                }
            }
        }
        self.give_up();
    }

    /// Resolves whatever is left, also what had only just been handed over.
    fn give_up(&mut self) {
        self.room.close();
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.taken.push(command);
        }
        self.obey();
        self.change(Ledger::close);
    }

    fn finished(&self, end: Duration) -> bool {
        (self.ledger.is_empty() && self.commands.is_empty()) || self.settings.clock.now() >= end
    }

    /// Answers come before new work: they make room on the wire.
    async fn next_wake(&mut self, stop: &mut watch::Receiver<bool>, end: Option<Duration>) -> Wake {
        self.set_alarm(end);
        let (ending, no_commands) = (end.is_some(), self.commands.is_closed() && self.commands.is_empty());
        tokio::select! {
            biased;
            changed = self.link.changed() => match changed {
                Ok(()) => Wake::Link,
                Err(_) => Wake::Orphaned,
            },
            () = stopped(stop), if end.is_none() => Wake::Stop,
            event = poll_fn(|cx| self.channel.poll_event(cx)) => Wake::Channel(event),
            Some((line, result)) = self.declaring.next() => Wake::Declared(line, result),
            taken = self.commands.recv_many(&mut self.taken, COMMANDS_A_TURN), if !(ending && no_commands) => match taken {
                0 => Wake::Stop,
                _ => Wake::Commands,
            },
            () = ring(&mut self.alarm) => Wake::Alarm,
        }
    }

    /// Puts on the wire, and has declared, whatever the ledger allows.
    fn pump(&mut self) {
        let state = self.link.borrow().clone();
        // While the broker is blocked nothing new is sent: what was never sent can still be told so.
        let LinkState::Up { generation, session } = state else {
            return;
        };
        if self.generation != Some(generation) {
            return;
        }
        if self.channel.is_none() {
            self.channel = Channel::open(&session);
        }
        while let Some((line, declarations)) = self.ledger.next_to_declare() {
            let (session, mode) = (Arc::clone(&session), self.settings.mode);
            self.declaring.push(Box::pin(async move {
                let prepared = match mode {
                    // Only delayed jobs come to this: nobody would tell that their queue is missing.
                    TopologyMode::None => look(&*session, &declarations).await,
                    _ => ensure(&*session, mode, &declarations).await,
                };
                let result = prepared.map_err(TopologyError::into_broker_error);
                if result.as_ref().is_err_and(|error| !error.needs_a_person()) {
                    // It is tried again at once, on this connection if it still lives.
                    tokio::time::sleep(DECLARE_PAUSE).await;
                }
                (line, result)
            }));
        }
        self.send();
    }

    fn send(&mut self) {
        let Some(publisher) = self.channel.publisher() else {
            return;
        };
        let date = self.settings.clock.wall().duration_since(UNIX_EPOCH);
        self.ledger.tell_date(date.unwrap_or_default());
        let mut unsendable = Vec::new();
        while let Some((tag, destination, message)) = self.ledger.next_to_send() {
            if let Err(error) = publisher.publish(tag, destination, message) {
                unsendable.push((tag, error));
            }
        }
        for (tag, error) in unsendable {
            self.change(|ledger, out| ledger.unsendable(tag, &error, out));
        }
    }

    /// Takes up a new connection, or gives up the old one.
    fn follow_link(&mut self) {
        let now = self.link.borrow_and_update().generation();
        if self.generation == now {
            return;
        }
        if self.generation.is_some() {
            let gone = BrokerError::new(BrokerErrorKind::Transport, "the connection was lost");
            self.lose_channel(&gone);
        }
        self.channel = Channel::None;
        self.generation = now;
    }

    /// One answer, and then every other that has already come: only then may the ledger decide what they mean.
    async fn channel_event(&mut self, first: ChannelEvent) {
        let now = self.settings.clock.now();
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                ChannelEvent::Changed => return,
                ChannelEvent::Settled { tag, acked, returned } => {
                    self.change(|ledger, out| ledger.answered(Reply { tag, acked, returned }, now, out));
                }
                ChannelEvent::Lost(error) => {
                    self.change(Ledger::decide);
                    tracing::warn!(%error, "the publishing channel was lost; what it did not confirm is sent again");
                    self.lose_channel(&error);
                    self.channel = Channel::pause();
                    return;
                }
            }
            next = poll_fn(|cx| match self.channel.poll_event(cx) {
                Poll::Ready(event) => Poll::Ready(Some(event)),
                Poll::Pending => Poll::Ready(None),
            })
            .await;
        }
        self.change(Ledger::decide);
    }

    fn lose_channel(&mut self, error: &BrokerError) {
        // Declarations under way belong to the old connection; the ledger has them made again.
        self.declaring = FuturesUnordered::new();
        self.change(|ledger, out| ledger.channel_lost(error, out));
    }

    fn obey(&mut self) {
        let mut taken = std::mem::take(&mut self.taken);
        for command in taken.drain(..) {
            match command {
                Command::Publish(entry) => {
                    self.ledger.accept(entry);
                }
                Command::Withdraw { ticket } => {
                    self.change(|ledger, out| ledger.withdraw(|waiter| waiter.ticket == ticket, out));
                }
            }
        }
        self.taken = taken;
    }

    fn ring(&mut self) {
        self.alarm = None;
        let now = self.settings.clock.now();
        self.change(|ledger, out| ledger.expire(now, out));
        if self.link.borrow().is_blocked() || self.is_stuck_in_writing(now) {
            self.ledger.nobody_can_answer(now);
        } else if self.ledger.look(now) && self.writing.is_none() {
            let silent = self.ledger.channel_renewed();
            tracing::warn!(
                ?silent,
                "a new channel: queues do not confirm any more, or nack all that they get; what was not confirmed is sent again"
            );
            self.channel = Channel::None;
        }
    }

    /// Whether one message has been on its way out for a while: whoever comes after it cannot be answered.
    fn is_stuck_in_writing(&mut self, now: Duration) -> bool {
        let same = |(before, _): &(u64, Duration), tag| *before == tag;
        self.writing = match (self.channel.writing(), self.writing) {
            (Some(tag), Some(since)) if same(&since, tag) => Some(since),
            (tag, _) => tag.map(|tag| (tag, now)),
        };
        self.writing
            .is_some_and(|(_, since)| now.saturating_sub(since) >= LONG_WRITE)
    }

    /// Sets the alarm to the next deadline, unless it rings before that anyway.
    fn set_alarm(&mut self, end: Option<Duration>) {
        let Some(next) = self.ledger.next_deadline().into_iter().chain(end).min() else {
            return;
        };
        if self.alarm.as_ref().is_none_or(|(at, _)| *at > next) {
            // A timer may be a millisecond early or late; a little late is right for a deadline.
            let left = next.saturating_sub(self.settings.clock.now());
            let wait = left.saturating_add(Duration::from_millis(1));
            self.alarm = Some((next, Box::pin(tokio::time::sleep(wait))));
        }
    }

    /// Changes the ledger and tells everyone whose wait ended by it.
    fn change(&mut self, change: impl FnOnce(&mut Ledger<Waiter>, &mut Vec<Resolved<Waiter>>)) {
        change(&mut self.ledger, &mut self.resolved);
        for Resolved { waiter, result } in self.resolved.drain(..) {
            // A caller that has gone away does not want to know.
            let _ = waiter.reply.send(result);
        }
    }
}

async fn ring(alarm: &mut Option<(Duration, Pin<Box<Sleep>>)>) {
    match alarm {
        Some((_, sleep)) => sleep.as_mut().await,
        None => std::future::pending().await,
    }
}
