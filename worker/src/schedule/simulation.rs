//! Many lives of a schedule with three replicas: crashes between any two steps, leaders that were replaced and do not know, refusals, clocks
//! that differ and jump. A seed decides everything.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::CatchUp;
use super::calendar::{Calendar, Millis};
use super::due::Terms;
use super::note::Note;
use super::relay::{Now, Parcel, Relay, Runner, Step};

const PERIOD: Millis = 1_000;
const BEGINNING: Millis = 1_763_784_000_500;
const REPLICAS: usize = 3;

/// A channel of a replica, with what is on its wires.
struct Channel {
    relay: Relay<u64>,
    /// Added to the true time.
    skew: Millis,
    inbox: VecDeque<(u64, Note)>,
    unacked: BTreeMap<u64, Note>,
    to_broker: Option<Parcel>,
    answer: Option<bool>,
    /// The broker delivers to others by now; the channel still publishes.
    ousted: bool,
}

struct World {
    chance: fastrand::Rng,
    policy: CatchUp,
    time: Millis,
    /// In the order of their subscriptions.
    channels: Vec<Channel>,
    queue: VecDeque<(u64, Note)>,
    ticks: BTreeMap<Millis, u32>,
    ids: u64,
    /// How many times a leader ended or was replaced.
    changes: u32,
}

impl World {
    fn new(seed: u64, policy: CatchUp) -> Self {
        Self {
            chance: fastrand::Rng::with_seed(seed),
            policy,
            time: BEGINNING,
            channels: Vec::new(),
            queue: VecDeque::new(),
            ticks: BTreeMap::new(),
            ids: 0,
            changes: 0,
        }
    }

    fn subscribe(&mut self) {
        self.ids += 1;
        let runner = Runner {
            terms: Terms::new(Calendar::Every(PERIOD), self.policy),
            job: "report".to_owned(),
            id: format!("replica-{}", self.ids),
            renewal: Duration::from_secs(20),
            patience: Duration::from_secs(5),
        };
        self.channels.push(Channel {
            relay: Relay::new(runner),
            skew: self.chance.i64(-2_000..=2_000),
            inbox: VecDeque::new(),
            unacked: BTreeMap::new(),
            to_broker: None,
            answer: None,
            ousted: false,
        });
    }

    fn now(&self, channel: &Channel) -> Now {
        Now {
            wall: self.time + channel.skew,
            mono: Duration::from_millis((self.time - BEGINNING).unsigned_abs()),
        }
    }

    fn active(&self) -> Option<usize> {
        self.channels.iter().position(|channel| !channel.ousted)
    }

    /// Lets the broker deliver.
    fn serve(&mut self) {
        let Some(active) = self.active() else { return };
        let channel = &mut self.channels[active];
        while channel.unacked.len() < 20
            && let Some((id, note)) = self.queue.pop_front()
        {
            channel.unacked.insert(id, note.clone());
            channel.inbox.push_back((id, note));
        }
    }

    /// What a channel held goes back, to the front and in order.
    fn give_back(&mut self, unacked: BTreeMap<u64, Note>) {
        for (id, note) in unacked.into_iter().rev() {
            self.queue.push_front((id, note));
        }
    }

    fn crash(&mut self, at: usize) {
        self.changes += u32::from(self.active() == Some(at));
        let mut channel = self.channels.remove(at);
        // What was on its way may have arrived.
        if let Some(parcel) = channel.to_broker.take()
            && self.chance.bool()
        {
            self.store(parcel);
        }
        self.give_back(channel.unacked);
    }

    fn oust(&mut self) {
        if let Some(active) = self.active() {
            self.changes += 1;
            self.channels[active].ousted = true;
            let unacked = std::mem::take(&mut self.channels[active].unacked);
            self.give_back(unacked);
        }
    }

    fn store(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Tick(tick) => *self.ticks.entry(tick).or_default() += 1,
            Parcel::Note(note) => {
                self.ids += 1;
                self.queue.push_back((self.ids, note));
            }
        }
    }

    /// One thing happens on one channel.
    fn stir(&mut self, at: usize, refusals: f64) {
        let now = self.now(&self.channels[at]);
        let refused = self.chance.f64() < refusals;
        match self.chance.u8(0..4) {
            0 => self.act(at, now),
            1 => {
                if let Some(parcel) = self.channels[at].to_broker.take() {
                    self.channels[at].answer = Some(!refused);
                    if !refused {
                        self.store(parcel);
                    }
                }
            }
            2 => match self.channels[at].answer.take() {
                Some(true) => self.channels[at].relay.stored(now),
                Some(false) => self.channels[at].relay.refused(now),
                None => {}
            },
            _ => {
                let channel = &mut self.channels[at];
                if let Some((id, note)) = channel.inbox.pop_front() {
                    channel.relay.delivered(note, id, now);
                }
            }
        }
        self.serve();
    }

    fn act(&mut self, at: usize, now: Now) {
        let channel = &mut self.channels[at];
        for lease in channel.relay.take_done_with() {
            channel.unacked.remove(&lease);
        }
        match channel.relay.step(now) {
            Step::Rest(_) => {}
            Step::GiveUp => {
                self.crash(at);
                self.subscribe();
            }
            Step::Publish(parcel) => channel.to_broker = Some(parcel),
        }
    }

    fn live(&mut self, turns: usize, faults: f64) {
        for _ in 0..turns {
            let most = if faults > 0.0 { 30 } else { 8 };
            self.time += self.chance.i64(0..most);
            if self.chance.f64() < faults {
                self.mishap();
            }
            if self.channels.len() < REPLICAS && self.chance.u8(0..20) == 0 {
                self.subscribe();
            }
            if !self.channels.is_empty() {
                let at = self.chance.usize(0..self.channels.len());
                self.stir(at, faults);
            }
        }
    }

    fn mishap(&mut self) {
        match self.chance.u8(0..10) {
            0..=4 if !self.channels.is_empty() => {
                // Mostly the leader.
                let at = self.chance.usize(0..self.channels.len() * 2) % (self.channels.len() + 1);
                self.crash(at.min(self.channels.len() - 1).min(self.active().unwrap_or(0)));
            }
            5 | 6 => self.oust(),
            7 => {
                while !self.channels.is_empty() {
                    self.crash(0);
                }
                self.time += self.chance.i64(0..20_000);
            }
            8 => {
                let at = self.chance.usize(0..self.channels.len().max(1));
                let skew = self.chance.i64(-5_000..=5_000);
                if let Some(channel) = self.channels.get_mut(at) {
                    channel.skew = skew;
                }
            }
            _ => self.time += self.chance.i64(0..3_000),
        }
    }

    fn extra_copies(&self) -> u32 {
        self.ticks.values().map(|copies| copies - 1).sum()
    }

    fn notes(&self) -> usize {
        self.queue.len() + self.channels.iter().map(|channel| channel.unacked.len()).sum::<usize>()
    }
}

/// A life with faults, and then a calm that is long enough for everything to settle.
fn life(seed: u64, policy: CatchUp) -> World {
    let mut world = World::new(seed, policy);
    world.subscribe();
    world.live(1_500, 0.03);
    for channel in &mut world.channels {
        channel.skew = 0;
    }
    world.live(25_000, 0.0);
    world
}

const SEEDS: u64 = 150;

#[test]
fn no_tick_is_left_out_and_each_change_of_leader_costs_one_copy_at_the_most() {
    let (mut ticks, mut extra, mut changes) = (0, 0, 0);
    for seed in 0..SEEDS {
        let world = life(seed, CatchUp::All);
        let (first, last) = (world.ticks.first_key_value(), world.ticks.last_key_value());
        let (first, last) = (*first.expect("ticks").0, *last.expect("ticks").0);
        let expected = (last - first) / PERIOD + 1;
        assert_eq!(
            world.ticks.len() as i64,
            expected,
            "seed {seed}: a tick is missing: {:?}",
            world.ticks
        );
        assert!(
            last + 5 * PERIOD >= world.time,
            "seed {seed}: it is behind by {} ms",
            world.time - last
        );
        assert!(first < BEGINNING + 30_000, "seed {seed}: it began late");
        assert!(
            world.extra_copies() <= world.changes,
            "seed {seed}: {} extra copies at {} changes",
            world.extra_copies(),
            world.changes
        );
        ticks += world.ticks.len();
        extra += world.extra_copies();
        changes += world.changes;
    }
    println!("{ticks} ticks, {changes} changes of leader, {extra} extra copies");
    assert!(
        extra > 50 && changes > 500,
        "the lives are eventful: {changes} changes, {extra} copies"
    );
}

#[test]
fn under_every_policy_one_note_is_left_and_no_change_costs_more_than_a_copy() {
    for policy in [CatchUp::Skip, CatchUp::One, CatchUp::All] {
        for seed in SEEDS..SEEDS + 50 {
            let mut world = life(seed, policy);
            // The calls and batons that are under way now and then settle too.
            for _ in 0..10_000 {
                if world.notes() == 1 {
                    break;
                }
                world.live(1, 0.0);
            }
            assert_eq!(world.notes(), 1, "{policy:?}, seed {seed}");
            assert!(world.extra_copies() <= world.changes, "{policy:?}, seed {seed}");
            let calm: Vec<_> = world
                .ticks
                .range(world.time - 60 * PERIOD..)
                .map(|(tick, copies)| (*tick, *copies))
                .collect();
            assert!(
                calm.windows(2).all(|pair| pair[1].0 - pair[0].0 == PERIOD),
                "{policy:?}, seed {seed}: {calm:?}"
            );
            assert!(
                calm.iter().all(|(_, copies)| *copies == 1) && calm.len() > 50,
                "{policy:?}, seed {seed}: {calm:?}"
            );
        }
    }
}

#[test]
fn whoever_is_asked_there_is_never_a_moment_without_a_note() {
    for seed in 0..200 {
        let mut world = World::new(seed, CatchUp::One);
        world.subscribe();
        let mut was_there = false;
        for _ in 0..3_000 {
            world.live(1, 0.05);
            let is_there = world.notes() > 0;
            assert!(is_there || !was_there, "seed {seed}: the last note was acked away");
            was_there |= is_there;
        }
        assert!(was_there, "seed {seed}");
    }
}
