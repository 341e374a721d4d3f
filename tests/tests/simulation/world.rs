//! The jobs of a simulation, what each shall do, and what was seen of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use leveret::{Envelope, Fate, HeaderValue, Job, Queue};
use leveret_worker::{BoxError, Context, JobError, Outcome, State};
use serde::{Deserialize, Serialize};

pub(crate) const QUORUM: Queue = Queue::new("quorum");
pub(crate) const CLASSIC: Queue = Queue::new("classic").classic();
/// Small enough to be full now and then.
pub(crate) const SMALL: Queue = Queue::new("small").max_length(5).delivery_limit(1_000);
pub(crate) const NACKED: Queue = Queue::new("nacked")
    .dead_letter(leveret::DeadLetter::Nack)
    .delivery_limit(1_000);

pub(crate) static QUEUES: [Queue; 4] = [QUORUM, CLASSIC, SMALL, NACKED];

/// A job type for each queue; they differ in nothing else.
macro_rules! tasks {
    ($($name:ident on $queue:ident),*) => {$(
        #[derive(Debug, Clone, Serialize, Deserialize, Job)]
        #[job(queue = $queue, timeout = "20s", max_attempts = 3)]
        pub(crate) struct $name(pub(crate) usize);

        impl $name {
            pub(crate) async fn act(self, world: State<World>, context: Context) -> Result<Outcome, BoxError> {
                act(self.0, world, context).await
            }
        }
    )*};
}

tasks!(OnQuorum on QUORUM, OnClassic on CLASSIC, OnSmall on SMALL, OnNacked on NACKED);

/// The job of a plot, ready to be enqueued.
pub(crate) fn envelope(number: usize, queue: usize) -> Envelope {
    let envelope = match queue {
        0 => Envelope::new(OnQuorum(number)),
        1 => Envelope::new(OnClassic(number)),
        2 => Envelope::new(OnSmall(number)),
        _ => Envelope::new(OnNacked(number)),
    };
    envelope.expect("a number")
}

/// What a job does when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Succeed,
    /// Fails this many times before it succeeds.
    FailFirst(u32),
    FailAlways,
    Reject,
    Panic,
    /// Runs into its time limit.
    Hang,
    SnoozeOnce,
}

/// One job of the plan.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(crate) queue: usize,
    pub(crate) part: Part,
    pub(crate) work: Duration,
    /// The pause before the next job is enqueued.
    pub(crate) pause: Duration,
}

/// One run of a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) attempt: u32,
    pub(crate) hop: i64,
    /// Whether the broker or the producer said that it may be a repetition.
    pub(crate) announced: bool,
    pub(crate) finished: bool,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) fates: BTreeMap<usize, Result<(), Fate>>,
    pub(crate) runs: BTreeMap<usize, Vec<Run>>,
    /// The numbers in the order of their first runs, as they were enqueued.
    pub(crate) first_runs: Vec<usize>,
    pub(crate) running: usize,
    pub(crate) most_running: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) plots: Arc<Vec<Plot>>,
    seen: Arc<Mutex<Seen>>,
}

impl World {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let count = rng.usize(5..40);
        let queues = rng.usize(1..=QUEUES.len());
        let plots = (0..count).map(|_| plot(rng, queues)).collect();
        Self {
            plots: Arc::new(plots),
            seen: Arc::default(),
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic while it is held")
    }
}

fn plot(rng: &mut Rng, queues: usize) -> Plot {
    let part = match rng.u8(0..20) {
        0..11 => Part::Succeed,
        11..14 => Part::FailFirst(rng.u32(1..3)),
        14 | 15 => Part::FailAlways,
        16 => Part::Reject,
        17 => Part::Panic,
        18 => Part::Hang,
        _ => Part::SnoozeOnce,
    };
    let millis = |rng: &mut Rng, choices: &[u64]| {
        let most = *rng.choice(choices).expect("not empty");
        Duration::from_millis(rng.u64(0..=most))
    };
    Plot {
        queue: rng.usize(0..queues),
        part,
        work: millis(rng, &[0, 10, 3_000]),
        pause: millis(rng, &[0, 0, 20, 1_000]),
    }
}

/// Counts a handler as running until it ends, in whatever way.
struct Counted(World);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.seen().running -= 1;
    }
}

/// What every handler does: it does what the plot says and writes down that it did.
async fn act(number: usize, State(world): State<World>, context: Context) -> Result<Outcome, BoxError> {
    let plot = world.plots[number].clone();
    let run = Run {
        attempt: context.attempt(),
        hop: context
            .header("leveret-hop")
            .map_or(Some(0), HeaderValue::as_int)
            .expect("our own header"),
        announced: context.is_redelivered() || context.header("leveret-resent").is_some(),
        finished: false,
    };
    let (at, first) = {
        let mut seen = world.seen();
        seen.running += 1;
        seen.most_running = seen.most_running.max(seen.running);
        let first = !seen.runs.contains_key(&number);
        // A copy of a job that was returned often, or is a suspect, stands where it was published.
        if first && run.hop == 0 {
            seen.first_runs.push(number);
        }
        let runs = seen.runs.entry(number).or_default();
        runs.push(run.clone());
        (runs.len() - 1, first)
    };
    let _counted = Counted(world.clone());
    tokio::time::sleep(plot.work).await;
    let failed = || BoxError::from("as planned");
    match plot.part {
        Part::Hang => std::future::pending().await,
        Part::FailAlways => Err(failed()),
        Part::FailFirst(times) if run.attempt <= times => Err(failed()),
        Part::Reject => Err(JobError::reject("as planned").into()),
        // Without the panic hook, which would print ten thousand of them.
        Part::Panic => std::panic::resume_unwind(Box::new("as planned")),
        Part::SnoozeOnce if first => Ok(Outcome::Snooze(Duration::from_secs(1))),
        Part::Succeed | Part::FailFirst(_) | Part::SnoozeOnce => {
            world.seen().runs.get_mut(&number).expect("it runs")[at].finished = true;
            Ok(Outcome::Done)
        }
    }
}
