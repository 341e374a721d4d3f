//! What goes wrong, and how often: drawn from the seed at every step in which the broker takes part.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use leveret::broker::memory::{Fault, FaultPlan, FaultPoint, Moment};

/// What real brokers do beside the usual, each found on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Climate {
    /// Nothing.
    Usual,
    /// Of the consumers that the broker cancels nobody is told.
    Forgets,
    /// The user is forbidden to publish, every now and then and for a while.
    Forbids,
}

/// The faults of one seed.
pub(crate) struct Weather {
    rng: Rng,
    /// The share of steps at which something goes wrong.
    rate: f64,
    /// Whether publishes are nacked. A job whose nack is lost with the connection is sent again, behind those that were on the
    /// wire with it: where order is checked, nothing is nacked.
    nacks: bool,
    climate: Climate,
    /// How many publishes more are forbidden.
    forbidden: u32,
    count: Arc<AtomicU64>,
}

impl Weather {
    /// The weather of a seed, and a counter of its faults.
    pub(crate) fn new(mut rng: Rng, nacks: bool) -> (Self, Arc<AtomicU64>) {
        let rate = *rng.choice(&[0.002, 0.01, 0.03, 0.08, 0.15]).expect("not empty");
        let count = Arc::new(AtomicU64::new(0));
        (
            Self {
                rng,
                rate,
                nacks,
                climate: Climate::Usual,
                forbidden: 0,
                count: count.clone(),
            },
            count,
        )
    }

    /// The same weather in another climate.
    pub(crate) fn within(mut self, climate: Climate) -> Self {
        self.climate = climate;
        self
    }

    fn moment(&mut self) -> Moment {
        if self.rng.bool() { Moment::Before } else { Moment::After }
    }

    fn delay(&mut self) -> Fault {
        Fault::DelayAnswer(Duration::from_millis(self.rng.u64(1..4_000)))
    }

    fn fault(&mut self, point: FaultPoint) -> Fault {
        let moment = self.moment();
        match (point, self.rng.u8(0..10)) {
            (FaultPoint::Connect, 0..5) => Fault::LoseConnection(moment),
            (FaultPoint::Connect, _) => self.delay(),
            (FaultPoint::Publish, 0..2) if self.nacks => Fault::Nack,
            (FaultPoint::Publish, 2) => Fault::LoseAnswer,
            (FaultPoint::Publish, 3..5) | (FaultPoint::Answer, 0..5) => self.delay(),
            (FaultPoint::Publish, 5) => Fault::KillChannel(moment),
            (FaultPoint::Publish, 6..8) if self.climate == Climate::Forbids => {
                self.forbidden = self.rng.u32(0..12);
                Fault::Forbid
            }
            (FaultPoint::Deliver, 0..4) if self.climate == Climate::Forgets => Fault::ForgetConsumer,
            (FaultPoint::Deliver, 0..4) => Fault::CancelConsumer,
            (FaultPoint::Deliver | FaultPoint::Settle | FaultPoint::Flush, 4..6) => Fault::KillChannel(moment),
            (FaultPoint::Batch, _) => Fault::Shuffle(self.rng.u64(..)),
            (
                FaultPoint::Declare
                | FaultPoint::Inspect
                | FaultPoint::OpenPublisher
                | FaultPoint::Consume
                | FaultPoint::Cancel,
                0..6,
            ) => match self.rng.u8(0..3) {
                0 => Fault::FailRpc(moment),
                1 => Fault::KillChannel(moment),
                _ => self.delay(),
            },
            _ => Fault::LoseConnection(moment),
        }
    }
}

impl FaultPlan for Weather {
    fn at(&mut self, point: FaultPoint) -> Fault {
        // The order in which confirms resolve is never to be relied on, fair weather or foul.
        if point == FaultPoint::Batch && self.rng.bool() {
            return Fault::Shuffle(self.rng.u64(..));
        }
        if point == FaultPoint::Publish && self.forbidden > 0 {
            self.forbidden -= 1;
            return Fault::Forbid;
        }
        if self.rng.f64() >= self.rate {
            return Fault::None;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.fault(point)
    }
}
