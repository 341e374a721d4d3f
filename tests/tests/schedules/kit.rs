//! A schedule of each test's own, replicas in this process, and the reckoning of its ticks.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret::{ConnectOptions, HeaderValue, Job, JobId, Message, Queue, Rabbit};
use leveret_tests::signal::{eventually, soon};
use leveret_tests::taker;
use leveret_worker::{CatchUp, ExitReport, RunError, Schedule, ScheduleState, Worker, WorkerHandle};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "unused", timeout = "30s")]
struct Tock;

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "schedules-idle", timeout = "30s")]
struct Idle;

async fn idle(_: Idle) {}

/// A schedule that no other test has; its jobs lie in a queue of their own until they are counted.
pub(crate) struct Timetable {
    pub(crate) name: String,
    pub(crate) queue: Queue,
    rabbit: Rabbit,
}

impl Timetable {
    pub(crate) async fn new(url: &str, what: &str) -> Self {
        let name = format!("{what}-{}", JobId::random());
        let options: ConnectOptions = url.parse().expect("a good URL");
        Self {
            queue: Queue::named(format!("{name}.jobs")).expect("short"),
            rabbit: Rabbit::connect(options).await.expect("the node answers"),
            name,
        }
    }

    /// A replica with connections of its own.
    pub(crate) fn replica(&self, url: &str, heartbeat: Duration) -> Replica {
        let options: ConnectOptions = url.parse().expect("a good URL");
        let schedule = Schedule::every(Duration::from_secs(1))
            .name(&*self.name)
            .catch_up(CatchUp::All);
        let worker = Worker::builder(options.heartbeat(heartbeat))
            .register(idle)
            .route::<Tock>(self.queue.clone())
            .schedule(schedule, || Tock)
            .build();
        let worker = worker.expect("it is well put together");
        Replica {
            handle: worker.handle(),
            task: tokio::spawn(worker.run_until(std::future::pending::<()>())),
        }
    }

    /// Waits until so many ticks were enqueued, copies included.
    pub(crate) async fn ticked(&self, count: u32) {
        // The queue is made by the first replica.
        let session = taker::session(&self.rabbit).await;
        let there = async || {
            session
                .inspect(self.queue.name())
                .await
                .is_ok_and(|depth| depth.ready >= count)
        };
        eventually(format!("{count} ticks of {}", self.name), there).await;
    }

    /// Waits until the leader has been sent the baton.
    pub(crate) async fn baton_is_held(&self) {
        let batons = format!("leveret.schedule.{}", self.name);
        let held = async || taker::depth(&self.rabbit, &batons).await == 0;
        eventually("the leader has the baton", held).await;
    }

    pub(crate) async fn depth(&self) -> u32 {
        taker::depth(&self.rabbit, self.queue.name()).await
    }

    /// Takes all jobs and counts them. All replicas have ended.
    pub(crate) async fn reckoning(&self) -> Ticks {
        // It comes back a moment after the last leader's channel has closed.
        let batons = format!("leveret.schedule.{}", self.name);
        let left = async || taker::depth(&self.rabbit, &batons).await == 1;
        eventually("one note is left in the schedule's queue", left).await;
        Ticks::of(&taker::take_all(&self.rabbit, self.queue.name()).await)
    }
}

/// How many copies there are of each tick, by its time in seconds.
#[derive(Debug)]
pub(crate) struct Ticks(BTreeMap<i64, u32>);

impl Ticks {
    fn of(messages: &[Message]) -> Self {
        let mut ticks: BTreeMap<i64, (u32, String)> = BTreeMap::new();
        for message in messages {
            let due = message
                .properties
                .headers
                .get("leveret-tick-ms")
                .and_then(HeaderValue::as_int);
            let id = message
                .properties
                .message_id
                .clone()
                .expect("every tick has an id")
                .to_string();
            let (copies, first) = ticks.entry(due.expect("a tick") / 1_000).or_insert((0, id.clone()));
            assert_eq!(*first, id, "copies of one tick have one id");
            *copies += 1;
        }
        Self(ticks.into_iter().map(|(due, (copies, _))| (due, copies)).collect())
    }

    /// None is missing between the first and the last, and exactly so many extra copies are there.
    pub(crate) fn assert_extra(&self, extra: u32) {
        self.assert_complete(extra);
        let copies: u32 = self.0.values().sum();
        assert_eq!(copies as usize, self.0.len() + extra as usize, "{self:?}");
    }

    /// None is missing between the first and the last, and no more extra copies are there than leaders changed.
    pub(crate) fn assert_complete(&self, changes: u32) {
        let (first, last) = (self.0.first_key_value(), self.0.last_key_value());
        let (first, last) = (*first.expect("ticks").0, *last.expect("ticks").0);
        let extra: u32 = self.0.values().map(|copies| copies - 1).sum();
        println!(
            "{} ticks, {changes} changes of leader, {extra} extra copies",
            self.0.len()
        );
        assert_eq!(self.0.len() as i64, last - first + 1, "a tick is missing: {self:?}");
        assert!(
            extra <= changes,
            "{extra} extra copies at {changes} changes of leader: {self:?}"
        );
    }
}

/// A worker with the schedule.
pub(crate) struct Replica {
    pub(crate) handle: WorkerHandle,
    task: JoinHandle<Result<ExitReport, RunError>>,
}

impl Replica {
    pub(crate) fn is_leading(&self) -> bool {
        matches!(self.state(), ScheduleState::Leading { .. })
    }

    pub(crate) fn state(&self) -> ScheduleState {
        self.handle.schedules().into_values().next().expect("it has a schedule")
    }

    pub(crate) async fn leads(&self) {
        self.wait_for("to lead", |state| matches!(state, ScheduleState::Leading { .. }))
            .await;
    }

    /// Waits until it has passed its baton on.
    pub(crate) async fn moves_on(&self) {
        let now = self.handle.schedules();
        soon("the next tick", self.handle.schedules_changed(&now)).await;
    }

    pub(crate) async fn stands_by(&self) {
        self.wait_for("to stand by", |state| *state == ScheduleState::Standby)
            .await;
    }

    async fn wait_for(&self, what: &str, wanted: impl Fn(&ScheduleState) -> bool) {
        let mut states = self.handle.schedules();
        while !states.values().all(&wanted) {
            states = soon(format!("a replica {what}"), self.handle.schedules_changed(&states)).await;
        }
    }

    pub(crate) async fn stop(self) {
        self.handle.shutdown();
        let report = soon("the end of a replica", self.task).await;
        assert!(report.expect("no panic").expect("it ran").is_clean());
    }
}

/// Waits until one of them leads.
pub(crate) async fn one_leads(replicas: &[Replica]) {
    let waits = replicas.iter().map(|replica| Box::pin(replica.leads()));
    futures_util::future::select_all(waits).await;
}
