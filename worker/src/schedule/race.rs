//! The race on one channel: does what the [`Relay`] says and tells it what came of it.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use leveret::Message;
use leveret::broker::{Answer, ConsumerEvent, Delivery, Duplex, Lease, Session, Settlement};
use leveret::topology::ensure;

use super::calendar::Millis;
use super::leader::Leader;
use super::note::Note;
use super::relay::{Parcel, Relay, Standing, Step};
use super::{ScheduleState, Tick, time};
use crate::dispatcher::Phase;

/// Why it ended.
pub(super) enum Stop {
    /// The worker shuts down.
    Shutdown,
    /// The channel is gone, or was left, for this reason.
    Lost(String),
}

/// One replica on one channel.
pub(super) struct Race<'a> {
    leader: &'a Leader,
    session: &'a dyn Session,
    channel: Duplex,
    relay: Relay<Lease>,
    /// What is in flight, and until when it has to be answered.
    sent: Option<(Parcel, Duration)>,
    /// Why the last thing that was sent was not taken.
    trouble: Option<String>,
    /// Once the worker shuts down: until when what is half done is finished.
    end: Option<Duration>,
}

/// What happened.
#[expect(clippy::large_enum_variant, reason = "it lives for one turn")]
enum Event {
    Answer(Answer),
    Consumer(ConsumerEvent),
    /// The worker shuts down.
    Leaving,
    /// Time.
    Woke,
}

impl<'a> Race<'a> {
    pub(super) fn new(leader: &'a Leader, session: &'a dyn Session, channel: Duplex) -> Self {
        Self {
            relay: Relay::new(leader.runner()),
            leader,
            session,
            channel,
            sent: None,
            trouble: None,
            end: None,
        }
    }

    /// Runs until the channel is lost or the worker shuts down. What was held goes back to the queue, and so to the next leader.
    pub(super) async fn run(mut self) -> Stop {
        loop {
            for lease in self.relay.take_done_with() {
                // All are of this channel.
                let _ = self.channel.consumer.settle(lease, Settlement::Ack);
            }
            self.channel.consumer.flush();
            let now = self.leader.now();
            if self.end.is_some_and(|end| self.relay.may_leave() || now.mono >= end) {
                self.channel.consumer.close().await;
                return Stop::Shutdown;
            }
            if self.sent.as_ref().is_some_and(|(_, until)| now.mono >= *until) {
                return self.leave("the broker did not confirm in time").await;
            }
            let rest = match self.relay.step(now) {
                Step::Rest(rest) => rest,
                Step::Publish(parcel) => self.publish(parcel).await,
                Step::GiveUp => {
                    return self
                        .leave("what was passed on did not come back: another replica leads")
                        .await;
                }
            };
            self.report();
            let event = self.next_event(rest).await;
            if let Some(stop) = self.take_in(event).await {
                return stop;
            }
        }
    }

    async fn next_event(&mut self, rest: Duration) -> Event {
        let mut phase = self.leader.setup.phase.clone();
        let is_leaving = self.end.is_some();
        let until_answer = self
            .sent
            .as_ref()
            .map(|(_, until)| until.saturating_sub(self.leader.now().mono));
        let until_end = self.end.map(|end| end.saturating_sub(self.leader.now().mono));
        let rest = [until_answer, until_end]
            .into_iter()
            .flatten()
            .fold(rest, Duration::min);
        let Duplex {
            consumer, publisher, ..
        } = &mut self.channel;
        let happened = poll_fn(|cx| match publisher.poll_answer(cx) {
            Poll::Ready(answer) => Poll::Ready(Event::Answer(answer)),
            Poll::Pending => consumer.poll_event(cx).map(Event::Consumer),
        });
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase > Phase::Running), if !is_leaving => Event::Leaving,
            event = happened => event,
            // A timer may be a little early; a tick must not be.
            () = tokio::time::sleep(rest + Duration::from_millis(1)) => Event::Woke,
        }
    }

    async fn take_in(&mut self, event: Event) -> Option<Stop> {
        match event {
            Event::Woke => {}
            Event::Leaving => {
                self.end = Some(self.leader.now().mono + self.leader.options.deadlines().close);
            }
            Event::Consumer(ConsumerEvent::Delivery(delivery)) => self.receive(delivery),
            Event::Consumer(ConsumerEvent::Lost(error)) | Event::Answer(Answer::Lost(error)) => {
                return Some(Stop::Lost(error.to_string()));
            }
            Event::Answer(Answer::Settled { acked, returned, .. }) => {
                return self.answered(acked, returned.is_some()).await;
            }
            // Cancelled, or what is still to be invented.
            _ => {
                let reason = "the broker cancelled the consumer: the queue of the schedule was deleted, or the baton was held for too long";
                return Some(self.leave(reason).await);
            }
        }
        None
    }

    fn receive(&mut self, delivery: Delivery) {
        let Delivery { message, lease, .. } = delivery;
        let schedule = &self.leader.setup.plan.name;
        let Some(note) = Note::read(&message) else {
            tracing::warn!(
                schedule,
                "something in the queue of the schedule is no baton; it is dropped"
            );
            // The queue is the schedule's alone: nothing in it is a job.
            let _ = self.channel.consumer.settle(lease, Settlement::Ack);
            return;
        };
        if note.job != self.leader.setup.plan.job {
            let (ours, theirs) = (self.leader.setup.plan.job, &note.job);
            tracing::warn!(
                schedule,
                ours,
                theirs,
                "another program has a schedule of this name for another job: only one of them counts; rename one"
            );
        }
        self.relay.delivered(note, lease, self.leader.now());
    }

    /// Puts a parcel on the wire; how long to wait for what comes of it.
    async fn publish(&mut self, parcel: Parcel) -> Duration {
        let (destination, message) = match &parcel {
            Parcel::Note(note) => (&self.leader.batons.destination, Ok(note.to_message())),
            Parcel::Tick(tick) => (&self.leader.jobs.destination, self.message(*tick)),
        };
        let written = message.and_then(|message| {
            let published = self.channel.publisher.publish(1, destination, &message);
            published.map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => {
                let wait = self.leader.options.deadlines().confirm;
                self.sent = Some((parcel, self.leader.now().mono + wait));
                wait
            }
            Err(reason) => {
                self.refused(reason);
                Duration::ZERO
            }
        }
    }

    fn message(&self, at: Millis) -> Result<Message, String> {
        let (plan, queue) = (&self.leader.setup.plan, self.leader.queue());
        let tick = Tick {
            id: format!("{queue}@{at}"),
            schedule: plan.name.clone(),
            at,
        };
        let message = plan.message(&tick);
        message.map_err(|reason| format!("the job `{}` of this tick cannot be made: {reason}", plan.job))
    }

    /// One thing is in flight at a time, so every answer is to that.
    async fn answered(&mut self, acked: bool, returned: bool) -> Option<Stop> {
        let (parcel, _) = self.sent.take()?;
        match (parcel, acked, returned) {
            (parcel, true, false) => {
                if let Parcel::Tick(tick) = parcel {
                    tracing::info!(schedule = self.leader.setup.plan.name, due_ms = tick, "tick");
                }
                self.trouble = None;
                self.relay.stored(self.leader.now());
            }
            (Parcel::Note(_), _, true) => {
                return Some(self.leave("the queue of the schedule is gone").await);
            }
            (Parcel::Tick(_), _, true) => {
                let mode = self.leader.options.topology_mode();
                let ensured = ensure(self.session, mode, &self.leader.jobs.declarations).await;
                self.refused(match ensured {
                    Ok(()) => format!("there is no queue `{}`", self.leader.jobs.destination.routing_key),
                    Err(error) => error.to_string(),
                });
            }
            (_, false, false) => {
                self.refused(
                    "the broker nacked it: the queue is full, or it cannot store messages right now".to_owned(),
                );
            }
        }
        None
    }

    fn refused(&mut self, reason: String) {
        self.trouble = Some(reason);
        self.relay.refused(self.leader.now());
    }

    fn report(&self) {
        let state = match (&self.trouble, self.relay.standing()) {
            (Some(error), Standing::Leading { .. }) => ScheduleState::Held { error: error.clone() },
            (_, Standing::Leading { last, next }) => ScheduleState::Leading {
                last: time(last),
                next: next.map(time),
            },
            (_, Standing::Standby) => ScheduleState::Standby,
        };
        self.leader.setup.reporter.set(state);
    }

    async fn leave(&mut self, reason: &str) -> Stop {
        // The halves of a channel that is closed are of no more use; the race ends with this.
        let _ = self.channel.consumer.cancel().await;
        Stop::Lost(reason.to_owned())
    }
}
