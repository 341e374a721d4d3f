//! The deliveries that a dispatcher has in hand: fetched and not yet settled, or still running although their lease was lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::channels::{ChannelLease, Channels};
use super::excused::Excused;
use super::key::Key;
use super::orphans::Orphans;
use super::suspicion::Standing;
use crate::cancellation::Cause;
use crate::context::Attempt;
use crate::load::Load;
use crate::registry::Entry;
use crate::settling::{Purpose, Successor};
use crate::terms::Interruption;

/// One delivery in hand.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) attempt: Arc<Attempt>,
    /// What settles it; `None` once its channel is gone.
    pub(super) lease: Option<ChannelLease>,
    /// When it was delivered, on the worker's clock: the broker's patience counts from here.
    pub(super) delivered: Duration,
    /// How often the broker counts it as delivered before.
    pub(super) delivery_count: u32,
    /// How it stands as a suspect.
    pub(super) standing: Standing,
    pub(super) stage: Stage,
}

impl Held {
    /// When the broker must have it back, given how long it may be held.
    pub(super) fn ends(&self, longest_hold: Duration) -> Duration {
        self.delivered.saturating_add(longest_hold)
    }

    fn is_being_returned(&self) -> bool {
        matches!(&self.stage, Stage::Settling { successor, .. }
            if matches!(successor.purpose, Purpose::Return | Purpose::PutAside { .. }))
    }
}

/// How far a delivery has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// It waits for a slot.
    Waiting(Arc<Entry>),
    /// Its handler runs.
    Running(Arc<Entry>),
    /// Its attempt is over, or it needs none; what becomes of it is being decided.
    Ended,
    /// Its successor is being published.
    Settling {
        successor: Arc<Successor>,
        /// Dropping it takes the successor back, if that was not sent yet.
        withdraw: Option<oneshot::Sender<()>>,
    },
}

/// All deliveries in hand. Those that wait are started in the order in which they came.
#[derive(Debug)]
pub(super) struct Hand {
    held: BTreeMap<u64, Held>,
    waiting: VecDeque<u64>,
    orphans: Orphans,
    last_number: u64,
    /// Told how many there are; read by whoever waits until the worker has none.
    load: Arc<Load>,
}

impl Hand {
    pub(super) fn new(load: Arc<Load>) -> Self {
        Self {
            held: BTreeMap::new(),
            waiting: VecDeque::new(),
            orphans: Orphans::default(),
            last_number: 0,
            load,
        }
    }

    pub(super) fn add(&mut self, held: Held) -> u64 {
        self.last_number += 1;
        if matches!(held.stage, Stage::Waiting(_)) {
            self.waiting.push_back(self.last_number);
        }
        self.held.insert(self.last_number, held);
        self.load.add(1);
        self.last_number
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Held> {
        self.held.get_mut(&number)
    }

    /// Takes a delivery out of the hand, with the key of its message if it has one.
    pub(super) fn remove(&mut self, number: u64) -> Option<(Held, Option<Key>)> {
        let held = self.held.remove(&number)?;
        self.load.take(1);
        let key = Key::of(&held.attempt.incoming);
        if let Some(key) = &key {
            self.orphans.forget(key, number);
        }
        Some((held, key))
    }

    /// Puts a job in hand in line once more.
    pub(super) fn wait(&mut self, number: u64, entry: Arc<Entry>) {
        if let Some(held) = self.held.get_mut(&number) {
            held.stage = Stage::Waiting(entry);
            self.waiting.push_back(number);
        }
    }

    /// The next to start.
    pub(super) fn next_waiting(&mut self) -> Option<u64> {
        self.waiting.pop_front()
    }

    /// The same, left in line.
    pub(super) fn first_waiting(&self) -> Option<u64> {
        self.waiting.front().copied()
    }

    /// When the one that has waited longest was delivered.
    pub(super) fn waits_since(&self) -> Option<Duration> {
        let number = self.waiting.front()?;
        self.held.get(number).map(|held| held.delivered)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Those whose handlers run and that can still be settled.
    pub(super) fn running(&self) -> Vec<u64> {
        let runs = |held: &Held| matches!(held.stage, Stage::Running(_)) && held.lease.is_some();
        let running = self.held.iter().filter(|(_, held)| runs(held));
        running.map(|(number, _)| *number).collect()
    }

    /// What settles the oldest, and how many have come after it.
    pub(super) fn oldest(&self) -> Option<(&ChannelLease, u64)> {
        let (number, oldest) = self.held.first_key_value()?;
        Some((oldest.lease.as_ref()?, self.last_number - number))
    }

    /// How many can still be settled.
    pub(super) fn leases(&self) -> impl Iterator<Item = &ChannelLease> {
        self.held.values().filter_map(|held| held.lease.as_ref())
    }

    /// A redelivery of a message that is in hand without a lease, or with a doubtful one: gives it the new one. Otherwise the lease comes back.
    pub(super) fn adopt(&mut self, key: &Key, lease: ChannelLease, now: Duration) -> Result<u64, ChannelLease> {
        let Some(number) = self.orphans.adopt(key) else {
            return Err(lease);
        };
        let Some(held) = self.held.get_mut(&number) else {
            return Err(lease);
        };
        held.lease = Some(lease);
        held.delivered = now;
        held.delivery_count = held.delivery_count.saturating_add(1);
        Ok(number)
    }

    /// The broker has cancelled the consumer. From 4.3 on it does so over one job that was held for too long: it takes no ack for that
    /// one and delivers it again, while the others can still be settled. So each keeps its lease, is told, and can be joined.
    pub(super) fn doubt_leases(&mut self) {
        for (number, held) in &self.held {
            let comes_to_an_end = matches!(held.stage, Stage::Running(_) | Stage::Settling { .. });
            if let Some(key) = Key::of(&held.attempt.incoming).filter(|_| comes_to_an_end) {
                self.orphans.add(key, *number);
            }
            if matches!(held.stage, Stage::Running(_)) {
                held.attempt.switch.fire(Cause::ConsumerCancelled);
            }
        }
    }

    /// Channels are gone. What waited is forgotten, because it comes again; what runs is told, runs on, and can be joined by its
    /// redelivery; a successor that was not sent yet is taken back. None of them has crashed its worker.
    pub(super) fn lose(&mut self, channels: &Channels, excused: &mut Excused) {
        let Self {
            held, waiting, orphans, ..
        } = self;
        let before = held.len();
        held.retain(|number, held| {
            if held.lease.as_ref().is_none_or(|lease| channels.honours(lease)) {
                return true;
            }
            held.lease = None;
            let key = Key::of(&held.attempt.incoming);
            key.iter().for_each(|key| excused.add(key.clone()));
            match &mut held.stage {
                Stage::Waiting(_) | Stage::Ended => return false,
                Stage::Running(_) => held.attempt.switch.fire(Cause::LeaseLost),
                Stage::Settling { withdraw, .. } => drop(withdraw.take()),
            }
            if let Some(key) = key {
                orphans.add(key, *number);
            }
            true
        });
        waiting.retain(|number| held.contains_key(number));
        self.load.take(before - held.len());
    }

    /// Takes every successor back that was not sent yet, but for those that give a job back.
    pub(super) fn withdraw_successors(&mut self) {
        for held in self.held.values_mut().filter(|held| !held.is_being_returned()) {
            if let Stage::Settling { withdraw, .. } = &mut held.stage {
                drop(withdraw.take());
            }
        }
    }

    /// Whether what is published in its place gives the job back.
    pub(super) fn is_being_returned(&self, number: u64) -> bool {
        self.held.get(&number).is_some_and(Held::is_being_returned)
    }

    /// Whether a job runs that a shutdown waits for beyond its grace.
    pub(super) fn must_finish(&self) -> bool {
        self.held.values().any(|held| match &held.stage {
            Stage::Running(entry) => entry.terms.interruption == Interruption::Finish,
            _ => false,
        })
    }

    /// Whether the successor of such a job is being published.
    pub(super) fn must_settle(&self) -> bool {
        self.held.values().any(|held| {
            let finishes = held.attempt.retrying.terms.interruption == Interruption::Finish;
            finishes && matches!(held.stage, Stage::Settling { .. })
        })
    }

    /// The job that has been held longest of those that the broker waits for, and since when.
    pub(super) fn held_longest(&self) -> Option<(Arc<Attempt>, Duration)> {
        let leased = self.held.values().filter(|held| held.lease.is_some());
        let longest = leased.min_by_key(|held| held.delivered)?;
        Some((Arc::clone(&longest.attempt), longest.delivered))
    }

    /// Tells every running handler that the worker shuts down.
    pub(super) fn announce_shutdown(&self) {
        for held in self.held.values() {
            if matches!(held.stage, Stage::Running(_)) && held.lease.is_some() {
                held.attempt.switch.fire(Cause::Shutdown);
            }
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.load.take(self.held.len());
    }
}
