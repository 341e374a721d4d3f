//! The inner loop's one step: everything that has happened since the last; and a flush, once that is much or all.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use leveret::broker::ConsumerEvent;

use super::hand::Stage;
use super::{Dispatcher, Role, Stop};
use crate::attempt;
use crate::kill_switch::Flow;
use crate::verdict::Ended;

/// How long what is done may wait for a fast job before it, to be told with it.
const MOMENT: Duration = Duration::from_millis(5);

impl Dispatcher {
    /// Waits until something happens, and deals with everything that has. It may be dropped at any time: what it was given it has dealt with.
    pub(super) async fn turn(&mut self) -> Option<Stop> {
        // A broker that always has one more job must not keep the other tasks of this thread waiting.
        tokio::task::coop::consume_budget().await;
        if self.channels.untold() > 0 {
            // What was started may end at once, and then goes with what has ended before it.
            tokio::task::yield_now().await;
        }
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    /// Ends come before deliveries: they free slots, and what was finished must be known before it is delivered again.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Option<Stop>> {
        let mut progress = false;
        let now = self.wires.clock.now();
        while let Poll::Ready(Some(finished)) = self.tasks.attempts.poll_join_next(cx) {
            progress = true;
            if let Ok((number, ended)) = finished {
                self.take_time(number, now);
                self.attempt_ended(number, ended);
            }
        }
        while let Poll::Ready(Some(finished)) = self.tasks.sendings.poll_join_next(cx) {
            progress = true;
            if let Ok((number, sent)) = finished {
                self.successor_ended(number, sent);
            }
        }
        while let Poll::Ready(Some(_)) = self.tasks.closings.poll_join_next(cx) {}
        let mut stop = None;
        while stop.is_none()
            && let Poll::Ready(event) = self.channels.poll_event(cx)
        {
            progress = true;
            stop = self.event(event, now);
        }
        progress |= self.alarm_rang(cx);
        progress |= self.lingered(cx);
        if !progress {
            self.tell_before_a_wait(cx);
            return Poll::Pending;
        }
        self.carry_on();
        self.set_alarm();
        if stop.is_some() {
            self.tell();
        }
        Poll::Ready(stop)
    }

    /// Starts what can be started, tells the broker what is settled if that is much, and the other dispatchers if that was all.
    pub(super) fn carry_on(&mut self) {
        match self.setup.role {
            Role::Work => self.fill_slots(),
            Role::Suspects => self.fill_the_one_slot(),
        }
        self.tell_if_much();
        self.close_retired_if_unused();
        self.linger();
        self.leave_if_empty();
    }

    /// Tells the broker what is settled although there is more to do, if that is much. An ack costs the broker nearly as much as a delivery, and one can
    /// speak for many; but what it does not know it has not replaced, so it must know well before everything in hand is done. What goes together goes
    /// first; the rest, which would go one by one, may be behind a job that is done a moment later.
    fn tell_if_much(&mut self) {
        let (much, too_much) = match self.setup.role {
            Role::Work => (self.most_in_hand() / 4, self.most_in_hand() / 2),
            // A suspect may take its worker along: what was settled before it must be known.
            Role::Suspects => (1, 1),
        };
        if self.channels.untold() >= usize::from(much) && !self.brimming {
            self.channels.flush_prefix();
        }
        if self.channels.untold() >= usize::from(too_much) {
            self.tell();
        }
    }

    /// Tells the broker what is settled: one that is not told gives no more. Only what is done behind a job that still runs would go one by one. Most fast
    /// jobs are done a moment later, and then all of it goes as one; so for that moment it is left, as long as the broker may still give something.
    fn tell_before_a_wait(&mut self, cx: &mut Context<'_>) {
        if self.brimming || !self.pace.is_fast() || self.channels.is_full() {
            return self.tell();
        }
        self.channels.flush_prefix();
        if self.channels.untold() == 0 {
            self.moment = None;
            return;
        }
        let moment = self.moment.get_or_insert_with(|| Box::pin(tokio::time::sleep(MOMENT)));
        if moment.as_mut().poll(cx).is_ready() {
            self.moment = None;
            self.tell();
        }
    }

    /// Tells the broker what is settled.
    fn tell(&mut self) {
        match self.brimming {
            true => self.channels.flush_retired(),
            false => self.channels.flush(),
        }
    }

    fn event(&mut self, event: ConsumerEvent, now: Duration) -> Option<Stop> {
        match event {
            ConsumerEvent::Delivery(delivery) => {
                self.admit(delivery, now);
                None
            }
            ConsumerEvent::Cancelled => Some(Stop::Cancelled),
            ConsumerEvent::Lost(error) => Some(Stop::Lost(error)),
            // The seam may come to tell more; what is not known ends nothing.
            _ => None,
        }
    }

    /// Starts waiting jobs while there are slots. A slot is an attempt, so a job that waits for its successor holds none.
    fn fill_slots(&mut self) {
        if matches!(self.flow(), Flow::None { .. }) {
            // Whoever waits until nothing is in hand would wait as long as they do.
            return self.return_waiting();
        }
        while self.tasks.attempts.len() < self.slots()
            && let Some(number) = self.hand.next_waiting()
        {
            self.start(number);
        }
    }

    /// Starts a job that was in line.
    pub(super) fn start(&mut self, number: u64) {
        let Some(held) = self.hand.get_mut(number) else { return };
        let Stage::Waiting(entry) = &held.stage else { return };
        let (entry, attempt) = (entry.clone(), held.attempt.clone());
        if attempt.wanted(|| self.wires.clock.wall()) == Some(Duration::ZERO) {
            return self.attempt_ended(number, Ended::Expired);
        }
        held.stage = Stage::Running(entry.clone());
        self.tasks
            .attempts
            .spawn(async move { (number, attempt::run(&entry.pipeline, attempt).await) });
    }

    /// What the end of an attempt says of the pace of all.
    fn take_time(&mut self, number: u64, now: Duration) {
        if let Some(held) = self.hand.get_mut(number) {
            let size = held.attempt.message.body.len();
            self.pace.ended(now.saturating_sub(held.delivered), size, now);
        }
    }

    /// Returns the jobs that have waited too long for a slot: somewhere else there may be one.
    fn alarm_rang(&mut self, cx: &mut Context<'_>) -> bool {
        let rang = self
            .alarm
            .as_mut()
            .is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready());
        if rang {
            self.alarm = None;
            let now = self.wires.clock.now();
            while self
                .hand
                .waits_since()
                .is_some_and(|since| since + self.setup.plan.longest_wait <= now)
                && let Some(number) = self.hand.next_waiting()
            {
                self.report.returned += 1;
                self.pace.waited_too_long();
                self.give_back(number);
            }
        }
        rang
    }

    /// Sets the alarm for the job that has waited longest. An alarm that is set stays: it can only ring too early.
    fn set_alarm(&mut self) {
        if self.alarm.is_none()
            && let Some(since) = self.hand.waits_since()
        {
            let wait = (since + self.setup.plan.longest_wait).saturating_sub(self.wires.clock.now());
            self.alarm = Some(Box::pin(tokio::time::sleep(wait)));
        }
    }
}
