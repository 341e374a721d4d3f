//! Faults on purpose. All of them are the in-memory broker's own: what they hit is the code that meets them on RabbitMQ.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::TestBroker;
use crate::broker::memory::{Fault, FaultPlan, FaultPoint, Moment};
use crate::queue::Queue;

/// What is set to go wrong. Written by the test, read by the broker at each step.
#[derive(Clone, Default)]
pub(super) struct Switches(Arc<Mutex<Set>>);

#[derive(Default)]
struct Set {
    logins_refused: bool,
    publishes: Publishes,
    /// How many publishes still go well before one costs its connection.
    publishes_to_loss: Option<u32>,
    /// What the test has planned in detail; it is asked first.
    own: Option<Box<dyn FaultPlan>>,
}

#[derive(Default, Clone, Copy)]
enum Publishes {
    #[default]
    Taken,
    Refused,
    ConfirmedAfter(Duration),
}

impl Switches {
    fn set(&self) -> MutexGuard<'_, Set> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultPlan for Switches {
    fn at(&mut self, point: FaultPoint) -> Fault {
        let mut set = self.set();
        let planned = set.own.as_mut().map_or(Fault::None, |own| own.at(point));
        match (planned, point) {
            (Fault::None, FaultPoint::Connect) if set.logins_refused => Fault::RefuseLogin,
            (Fault::None, FaultPoint::Publish) => set.at_a_publish(),
            (planned, _) => planned,
        }
    }
}

impl Set {
    fn at_a_publish(&mut self) -> Fault {
        if let Some(left) = self.publishes_to_loss {
            self.publishes_to_loss = left.checked_sub(1);
            if left == 0 {
                return Fault::LoseConnection(Moment::After);
            }
        }
        match self.publishes {
            Publishes::Taken => Fault::None,
            Publishes::Refused => Fault::Nack,
            Publishes::ConfirmedAfter(delay) => Fault::DelayAnswer(delay),
        }
    }
}

/// Faults. Those that last do so until [`TestBroker::heal`].
impl TestBroker {
    /// Cuts all connections, once. Producers and workers open new ones; what was not settled is delivered again.
    pub fn lose_connections(&self) {
        self.inner.broker.drop_connections();
    }

    /// Cuts a connection in the middle of a publish: `well` more publishes go well, the next is stored, and its connection is cut
    /// before the confirm. Whoever published it cannot know that it is stored.
    pub fn lose_connection_after_publishes(&self, well: u32) {
        self.inner.switches.set().publishes_to_loss = Some(well);
    }

    /// Cuts all connections and refuses new ones, as a broker that is down. What is in its queues stays there.
    pub fn go_down(&self) {
        self.inner.broker.refuse_connections(true);
        self.lose_connections();
    }

    /// Refuses new connections over their login, as a broker does that was given another password. Those that stand are not touched:
    /// to have them try, call [`TestBroker::lose_connections`].
    pub fn refuse_logins(&self) {
        self.inner.switches.set().logins_refused = true;
    }

    /// Refuses every publish (a nack), as a queue does that is full; retries and dead letters too.
    pub fn refuse_publishes(&self) {
        self.inner.switches.set().publishes = Publishes::Refused;
    }

    /// Stores what is published and confirms it only after this long.
    pub fn delay_confirms(&self, delay: Duration) {
        self.inner.switches.set().publishes = Publishes::ConfirmedAfter(delay);
    }

    /// Stores what is published and does not confirm it, as a broker does that waits for its disk or for other nodes.
    pub fn withhold_confirms(&self) {
        self.delay_confirms(Duration::MAX);
    }

    /// Raises an alarm (memory, disk): from its next publish on, a connection is blocked, and nothing that it sends is read.
    pub fn block(&self, reason: &str) {
        self.inner.broker.block(reason);
    }

    /// Deletes a queue with all that is in it. `false`: there was none.
    pub fn delete_queue(&self, queue: &Queue) -> bool {
        self.inner.broker.delete_queue(queue.name())
    }

    /// Sets a plan for faults in detail. Where it says [`Fault::None`], the switches here decide.
    ///
    /// ```
    /// use leveret::broker::memory::{Fault, FaultPoint};
    /// use leveret::testing::TestBroker;
    ///
    /// let broker = TestBroker::new();
    /// broker.set_faults(|point| match point {
    ///     FaultPoint::Deliver => Fault::CancelConsumer,
    ///     _ => Fault::None,
    /// });
    /// ```
    pub fn set_faults(&self, plan: impl FaultPlan + 'static) {
        self.inner.switches.set().own = Some(Box::new(plan));
    }

    /// Ends all faults: connections are accepted, publishes taken and confirmed, those included whose confirm was held back.
    pub fn heal(&self) {
        *self.inner.switches.set() = Set::default();
        self.inner.broker.refuse_connections(false);
        self.inner.broker.unblock();
        self.inner.broker.release_answers();
    }
}
