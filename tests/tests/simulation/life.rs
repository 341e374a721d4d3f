//! One life: a producer process, worker processes, crashes and restarts of both, fair weather at last, and the reckoning.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use leveret::broker::memory::MemoryBroker;
use leveret::topology::Topology;
use leveret::{ConnectOptions, Fate, Rabbit};
use leveret_worker::Worker;
use tokio::task::JoinSet;

use crate::check;
use crate::weather::{Climate, Weather};
use crate::world::{OnClassic, OnNacked, OnQuorum, OnSmall, QUEUES, World, envelope};

/// How long a confirm is waited for.
const CONFIRM: Duration = Duration::from_secs(5);
/// Everything must have come to rest by then, an hour after the weather turned fair.
const PATIENCE: Duration = Duration::from_secs(3_600);
const LEDGER: usize = 12;

/// What one life came to, for the sums.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Story {
    pub(crate) jobs: u64,
    pub(crate) faults: u64,
    pub(crate) crashes: u64,
    pub(crate) runs: u64,
    pub(crate) duplicates: u64,
    pub(crate) dead: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
}

impl Story {
    pub(crate) fn add(&mut self, other: &Story) {
        self.jobs += other.jobs;
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.runs += other.runs;
        self.duplicates += other.duplicates;
        self.dead += other.dead;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            jobs,
            faults,
            crashes,
            runs,
            duplicates,
            dead,
            refused,
            unknown,
        } = self;
        write!(
            f,
            "{jobs} jobs, {faults} faults, {crashes} crashes; {runs} runs, {duplicates} repeated, {dead} dead, {refused} refused, \
             {unknown} unknown, 0 lost"
        )
    }
}

/// What a seed decides beside the weather and the plots.
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) concurrency: usize,
    pub(crate) prefetch: u16,
    producer_crashes: bool,
    worker_crashes: u8,
}

impl Settings {
    fn new(rng: &mut Rng) -> Self {
        let concurrency = rng.usize(1..5);
        Self {
            workers: if rng.u8(0..4) == 0 { 2 } else { 1 },
            concurrency,
            prefetch: u16::try_from(concurrency + rng.usize(0..4)).expect("small"),
            producer_crashes: rng.u8(0..3) == 0,
            worker_crashes: rng.u8(0..4),
        }
    }

    /// Whether jobs of a queue must start in the order in which they were enqueued.
    pub(crate) fn keeps_order(&self) -> bool {
        self.workers == 1 && self.prefetch == 1
    }
}

/// Lives one seed on a clock of its own and checks every promise.
pub(crate) fn live(seed: u64) -> Story {
    live_in(seed, Climate::Usual)
}

/// The same in another climate.
pub(crate) fn live_in(seed: u64, climate: Climate) -> Story {
    // Everything random in the engine draws from this thread's generator.
    fastrand::seed(seed);
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(async {
        let settings = Settings::new(&mut rng);
        let (weather, faults) = Weather::new(rng.fork(), !settings.keeps_order());
        let broker = MemoryBroker::with_faults(weather.within(climate));
        let world = World::new(&mut rng);
        let crashes = bad_times(&broker, &world, &settings, &mut rng).await;
        broker.heal();
        good_times(&broker, &world, &settings).await;
        let mut story = check::everything(&broker, &world, &settings);
        story.faults = faults.load(Ordering::Relaxed);
        story.crashes = crashes;
        story
    })
}

fn options() -> ConnectOptions {
    let options: ConnectOptions = "memory://simulation".parse().expect("valid");
    options
        .ledger_jobs(LEDGER)
        .confirm_deadline(CONFIRM)
        .rpc_deadline(Duration::from_secs(2))
        .connect_deadline(Duration::from_secs(2))
        .close_deadline(Duration::from_secs(2))
}

fn rabbit(broker: &MemoryBroker) -> Rabbit {
    Rabbit::with_broker(Arc::new(broker.clone()), options()).expect("a runtime is running")
}

/// A worker process. Aborting its task is its crash.
async fn worker(broker: MemoryBroker, world: World, settings: (usize, u16), stop: tokio::sync::oneshot::Receiver<()>) {
    let rabbit = rabbit(&broker);
    let (concurrency, prefetch) = settings;
    let mut builder = Worker::builder(&rabbit).state(world.clone());
    builder = builder
        .register(OnQuorum::act)
        .register(OnClassic::act)
        .register(OnSmall::act)
        .register(OnNacked::act);
    for queue in &QUEUES {
        builder = builder.concurrency(queue, concurrency).prefetch(queue, prefetch);
    }
    let worker = builder.build().expect("valid");
    let _ = worker.run_until(stop).await.expect("the queues are as wanted");
    rabbit.close().await;
}

/// A producer process: enqueues the plots from `from` on and writes down each fate. Aborting its task is its crash.
async fn producer(broker: MemoryBroker, world: World, from: Arc<std::sync::atomic::AtomicUsize>) {
    let rabbit = rabbit(&broker);
    let producer = rabbit.producer();
    let mut waiting = JoinSet::new();
    loop {
        let number = from.fetch_add(1, Ordering::Relaxed);
        let Some(plot) = world.plots.get(number) else { break };
        // Whatever happens from here on, until its fate is known it is unknown.
        world.seen().fates.insert(number, Err(Fate::Unknown));
        let enqueue = producer
            .enqueue_envelope(envelope(number, plot.queue))
            .id(number.to_string());
        let pending = enqueue.submit().await.expect("it can be sent");
        let world_then = world.clone();
        waiting.spawn(async move {
            let started = tokio::time::Instant::now();
            let result = pending.await;
            let waited = started.elapsed();
            assert!(
                waited <= CONFIRM + Duration::from_millis(50),
                "a waiter was kept for {waited:?}"
            );
            world_then
                .seen()
                .fates
                .insert(number, result.map(drop).map_err(|error| error.fate()));
        });
        assert!(waiting.len() <= world.plots.len());
        tokio::time::sleep(plot.pause).await;
    }
    while let Some(waited) = waiting.join_next().await {
        waited.expect("no panic");
    }
    rabbit.close().await;
}

type Stop = tokio::sync::oneshot::Sender<()>;

fn start_worker(
    tasks: &mut JoinSet<()>,
    broker: &MemoryBroker,
    world: &World,
    settings: &Settings,
) -> (tokio::task::AbortHandle, Stop) {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let limits = (settings.concurrency, settings.prefetch);
    (
        tasks.spawn(worker(broker.clone(), world.clone(), limits, stopped)),
        stop,
    )
}

/// Foul weather: everything is enqueued and worked on, and processes crash and come back.
async fn bad_times(broker: &MemoryBroker, world: &World, settings: &Settings, rng: &mut Rng) -> u64 {
    let mut crashes = 0;
    let mut processes = JoinSet::new();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut producing = processes.spawn(producer(broker.clone(), world.clone(), next.clone()));
    let mut workers: Vec<_> = (0..settings.workers)
        .map(|_| start_worker(&mut processes, broker, world, settings))
        .collect();
    let pause = |rng: &mut Rng| tokio::time::sleep(Duration::from_millis(rng.u64(0..2_500)));
    if settings.producer_crashes {
        pause(rng).await;
        producing.abort();
        crashes += 1;
        pause(rng).await;
        producing = processes.spawn(producer(broker.clone(), world.clone(), next));
    }
    for _ in 0..settings.worker_crashes {
        pause(rng).await;
        let (crashing, _) = workers.remove(0);
        crashing.abort();
        crashes += 1;
        pause(rng).await;
        workers.push(start_worker(&mut processes, broker, world, settings));
    }
    while !producing.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Half of the workers are stopped in order, in the foul weather; the others crash with the end of this scope.
    let (stopping, stop) = workers.remove(0);
    drop(stop);
    let mut waited = 0;
    while !stopping.is_finished() {
        waited += 1;
        assert!(waited < 600, "a worker does not come to its end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while let Some(ended) = processes.try_join_next() {
        if let Err(error) = ended {
            assert!(error.is_cancelled(), "a process panicked: {error}");
        }
    }
    crashes
}

/// Fair weather: one worker, until nothing is left.
async fn good_times(broker: &MemoryBroker, world: &World, settings: &Settings) {
    let mut processes = JoinSet::new();
    let (_, stop) = start_worker(&mut processes, broker, world, settings);
    let all_at_rest = async {
        loop {
            at_rest_once(broker).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
            let empty = |queue: &String| {
                let depth = broker.depth(queue);
                depth.is_none_or(|depth| depth.ready + depth.unacked + depth.undelivered == 0)
            };
            if places().iter().all(empty) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all_at_rest)
        .await
        .expect("something is stuck");
    drop(stop);
    tokio::time::timeout(PATIENCE, processes.join_next())
        .await
        .expect("it drains")
        .expect("one")
        .expect("no panic");
}

async fn at_rest_once(broker: &MemoryBroker) {
    for queue in places() {
        if broker.depth(&queue).is_some() {
            broker
                .wait_for_depth(&queue, |depth| depth.ready + depth.unacked == 0)
                .await;
        }
    }
}

/// The queues in which there may be jobs that are not done: those of the jobs, what is beside them, and what they wait in.
fn places() -> Vec<String> {
    let topology = Topology::new("leveret");
    let own = QUEUES.iter().map(|queue| queue.name().to_owned());
    let beside = QUEUES.iter().filter_map(|queue| topology.due_queue(queue));
    let suspects = QUEUES.iter().map(|queue| topology.suspect_queue(queue));
    own.chain(beside)
        .chain(suspects)
        .chain(topology.delay_queues())
        .collect()
}
