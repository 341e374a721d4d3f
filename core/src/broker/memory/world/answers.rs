//! The publishing channels: what became of each publish, and how the client pairs it with its tag.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Unread, World};
use crate::broker::memory::fault::{Fault, FaultPoint, Moment, shuffle};
use crate::broker::memory::refusal;
use crate::broker::memory::state::Publication;
use crate::broker::{Answer, BrokerError, Destination, Health};
use crate::message::Message;

/// The client's end of one publishing channel.
pub(super) struct AnswerBox {
    connection: u64,
    /// What has arrived from the broker, in order.
    frames: VecDeque<Frame>,
    /// Returned messages that wait for a confirm; whichever resolves next takes the front.
    returned: VecDeque<String>,
    resolved: VecDeque<Answer>,
    late: BTreeMap<(Duration, u64), Late>,
    lost: Option<BrokerError>,
    waker: Option<Waker>,
}

enum Frame {
    Return(String),
    Confirm { tag: u64, acked: bool },
}

enum Late {
    Frame(Frame),
    Answer(Answer),
}

impl AnswerBox {
    /// Pairs what has arrived: in order, or as the seed says.
    fn resolve(&mut self, fault: Fault) {
        if let Fault::Shuffle(seed) = fault {
            let mut confirms = Vec::new();
            for frame in self.frames.drain(..) {
                match frame {
                    Frame::Return(id) => self.returned.push_back(id),
                    Frame::Confirm { .. } => confirms.push(frame),
                }
            }
            shuffle(&mut confirms, seed);
            self.frames.extend(confirms);
        }
        for frame in std::mem::take(&mut self.frames) {
            match frame {
                Frame::Return(id) => self.returned.push_back(id),
                Frame::Confirm { tag, acked } => {
                    let returned = self.returned.pop_front();
                    self.resolved.push_back(Answer::Settled { tag, acked, returned });
                }
            }
        }
    }

    fn receive_late(&mut self, now: Duration) {
        while let Some(first) = self.late.first_entry()
            && first.key().0 <= now
        {
            match first.remove() {
                Late::Frame(frame) => self.frames.push_back(frame),
                Late::Answer(answer) => self.resolved.push_back(answer),
            }
        }
    }
}

impl World {
    pub(in crate::broker::memory) fn open_publisher(&mut self, connection: u64) -> Result<u64, BrokerError> {
        let id = self.new_id();
        self.open_publisher_on(connection, id)?;
        Ok(id)
    }

    /// Publishing on the channel of this id, which may consume as well.
    pub(super) fn open_publisher_on(&mut self, connection: u64, id: u64) -> Result<(), BrokerError> {
        let home = self.connections.get_mut(&connection).ok_or_else(refusal::lost)?;
        home.publishers.insert(id);
        let answers = AnswerBox {
            connection,
            frames: VecDeque::new(),
            returned: VecDeque::new(),
            resolved: VecDeque::new(),
            late: BTreeMap::new(),
            lost: None,
            waker: None,
        };
        self.publishers.insert(id, answers);
        Ok(())
    }

    /// Forgets a channel whose owner is gone.
    pub(in crate::broker::memory) fn drop_publisher(&mut self, id: u64) {
        if let Some(answers) = self.publishers.remove(&id)
            && let Some(connection) = self.connections.get_mut(&answers.connection)
        {
            connection.publishers.remove(&id);
        }
    }

    pub(super) fn end_publisher(&mut self, id: u64, error: &BrokerError) {
        let Some(answers) = self.publishers.get_mut(&id) else {
            return;
        };
        if answers.lost.is_some() {
            return;
        }
        answers.lost = Some(error.clone());
        answers.late.clear();
        self.signals.wakers.extend(answers.waker.take());
        if let Some(connection) = self.connections.get_mut(&answers.connection) {
            connection.publishers.remove(&id);
        }
    }

    pub(in crate::broker::memory) fn publish(&mut self, channel: u64, tag: u64, to: &Destination, message: &Message) {
        let Some(answers) = self.publishers.get(&channel) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&answers.connection) else {
            return;
        };
        if answers.lost.is_some() {
            return;
        }
        if let Some(reason) = &self.gate.alarm {
            if !matches!(*connection.health.borrow(), Health::Blocked(_)) {
                connection.health.send_replace(Health::Blocked(reason.clone()));
            }
            let (destination, message) = (to.clone(), message.clone());
            connection.unread.push_back(Unread::Publish {
                channel,
                tag,
                destination,
                message,
            });
            return;
        }
        let connection = answers.connection;
        let fault = self.fault(FaultPoint::Publish);
        if self.strike(fault, Moment::Before, connection, channel) {
            return;
        }
        let publication = match fault {
            Fault::Nack => Publication::Refused,
            _ => self.state.publish(to, message),
        };
        self.distribute();
        if !self.strike(fault, Moment::After, connection, channel) {
            self.answer(channel, tag, fault, &outcome(publication, to, message));
        }
    }

    fn answer(&mut self, channel: u64, tag: u64, fault: Fault, outcome: &Outcome) {
        if let Outcome::Killed(error) = outcome {
            return self.kill_channel(channel, error);
        }
        let (now, id) = (self.state.now(), self.new_id());
        let Some(answers) = self.publishers.get_mut(&channel) else {
            return;
        };
        if let Outcome::Returned(id) = outcome {
            answers.frames.push_back(Frame::Return(id.clone()));
        }
        let acked = !matches!(outcome, Outcome::Nacked);
        let confirm = Frame::Confirm { tag, acked };
        match fault {
            Fault::LoseAnswer => return,
            Fault::DelayAnswer(delay) => drop(
                answers
                    .late
                    .insert((now.saturating_add(delay), id), Late::Frame(confirm)),
            ),
            _ => answers.frames.push_back(confirm),
        }
        self.signals.wakers.extend(answers.waker.take());
    }

    /// The next answer, or when to look again.
    pub(in crate::broker::memory) fn poll_answer(
        &mut self,
        channel: u64,
        cx: &mut Context<'_>,
    ) -> (Poll<Answer>, Option<Duration>) {
        let now = self.state.now();
        loop {
            let Some(answers) = self.publishers.get_mut(&channel) else {
                return (Poll::Ready(Answer::Lost(refusal::closed())), None);
            };
            answers.receive_late(now);
            if answers.resolved.is_empty() && !answers.frames.is_empty() {
                let fault = self.fault(FaultPoint::Batch);
                self.resolve(channel, fault);
            } else if !answers.resolved.is_empty() {
                if let Some(answer) = self.next_answer(channel) {
                    return (Poll::Ready(answer), None);
                }
            } else if let Some(error) = &answers.lost {
                return (Poll::Ready(Answer::Lost(error.clone())), None);
            } else {
                answers.waker = Some(cx.waker().clone());
                return (Poll::Pending, answers.late.keys().next().map(|(due, _)| *due));
            }
        }
    }

    /// Gives out the answers that a fault delays.
    pub(in crate::broker::memory) fn release_answers(&mut self) {
        for answers in self.publishers.values_mut() {
            answers.receive_late(Duration::MAX);
            self.signals.wakers.extend(answers.waker.take());
        }
    }

    fn resolve(&mut self, channel: u64, fault: Fault) {
        if let Some(answers) = self.publishers.get_mut(&channel) {
            answers.resolve(fault);
        }
    }

    /// Gives out one resolved answer, unless a fault keeps it.
    fn next_answer(&mut self, channel: u64) -> Option<Answer> {
        let fault = self.fault(FaultPoint::Answer);
        let (now, id) = (self.state.now(), self.new_id());
        let answers = self.publishers.get_mut(&channel)?;
        let connection = answers.connection;
        if matches!(
            fault,
            Fault::LoseConnection(Moment::Before) | Fault::KillChannel(Moment::Before)
        ) {
            answers.resolved.clear();
            self.strike(fault, Moment::Before, connection, channel);
            return None;
        }
        let answer = answers.resolved.pop_front()?;
        match fault {
            Fault::LoseAnswer => return None,
            Fault::DelayAnswer(delay) if answers.lost.is_none() => {
                answers
                    .late
                    .insert((now.saturating_add(delay), id), Late::Answer(answer));
                return None;
            }
            _ => {}
        }
        self.strike(fault, Moment::After, connection, channel);
        Some(answer)
    }
}

/// What the publisher hears of a publication.
enum Outcome {
    Acked,
    Nacked,
    Returned(String),
    Killed(BrokerError),
}

fn outcome(publication: Publication, to: &Destination, message: &Message) -> Outcome {
    match publication {
        Publication::Stored => Outcome::Acked,
        Publication::Refused => Outcome::Nacked,
        Publication::Unroutable => Outcome::Returned(message.properties.message_id.clone().unwrap_or_default().into()),
        Publication::NoExchange => Outcome::Killed(refusal::no_exchange(&to.exchange)),
    }
}
