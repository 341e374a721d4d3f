//! Recurring jobs: [`Schedule`].
//!
//! # Layout
//! What the application writes: [`Schedule`], [`CatchUp`], [`Tick`], [`MakeJob`]; `plan` checks it. Pure, time as input: `calendar` and `cron` say when
//! a schedule is due, `due` what it owes, `note` what lies in its queue, `relay` who leads and what comes next. What runs: `leader`, a task for each
//! schedule, which runs a `race` on each of its channels and obeys its `relay` there; `state` is what others see of it.

mod calendar;
#[cfg(feature = "cron")]
mod cron;
mod due;
mod leader;
mod note;
mod plan;
mod race;
mod relay;
#[cfg(test)]
mod simulation;
mod state;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leveret::Job;

use crate::builder::WorkerBuilder;
use calendar::{Calendar, Millis};
#[cfg(feature = "cron")]
use cron::Cron;
pub(crate) use leader::{Leader, Setup};
pub(crate) use plan::{Draft, SchedulePlan, plan_schedules};
pub use state::ScheduleState;
pub(crate) use state::{Board, Reporter};

/// When a job is enqueued again and again. Given to [`WorkerBuilder::schedule`], on any number of replicas.
///
/// ```
/// # use std::time::Duration;
/// use leveret_worker::{CatchUp, Schedule, Tick, Worker};
/// # use leveret::Job;
/// # #[derive(serde::Serialize, serde::Deserialize, Job)]
/// # #[job(queue = "reports", timeout = "10m")]
/// # struct Report { day: u64 }
/// # #[derive(serde::Serialize, serde::Deserialize, Job)]
/// # #[job(queue = "reports", timeout = "10s")]
/// # struct Sweep;
/// # async fn report(_: Report) {}
/// # async fn sweep(_: Sweep) {}
///
/// let nightly = Schedule::cron("0 3 * * *").time_zone("Europe/Berlin").catch_up(CatchUp::One);
/// let worker = Worker::builder("memory://")
///     .register(report)
///     .register(sweep)
///     .schedule(nightly, |tick: Tick| Report { day: tick.unix_millis() / 86_400_000 })
///     .schedule(Schedule::every(Duration::from_secs(30)).name("sweep"), || Sweep)
///     .build()?;
/// # Ok::<(), leveret_worker::BuildError>(())
/// ```
///
/// # What is promised
/// Each tick is enqueued once by one of the replicas, the schedule's leader, and confirmed. No tick is left out, except by the
/// [catch-up policy](CatchUp). When the leadership changes, one tick at the most is enqueued a second time, with the same
/// [id](Tick::id): what must not happen twice is to be done by that id. A process that dies is replaced at once, one that is cut off from the
/// broker within two heartbeats (20 seconds by default).
///
/// # Time
/// The leader's wall clock counts. What was enqueued once is remembered in the broker, so a clock that is set back enqueues nothing
/// twice: the schedule waits until the clock has caught up. One that is set forward is, for the schedule, an outage of that length: the
/// catch-up policy decides.
///
/// # Changing, doubling, removing
/// - A schedule is known by its name, and so is its queue, `leveret.schedule.<name>`. What it enqueues and when may change with each
///   deployment: the new rule counts from the moment when a replica that has it leads, and of the old one only a tick that was due
///   before and not enqueued is caught up with. While both versions run, the leader's counts; leadership moves when a leader ends, so the old
///   one counts until its process has ended.
/// - Two services under one prefix need two names. Two different schedules of one name disturb each other, and the log says so.
/// - A schedule that is taken out of the program is never due again. Its queue stays, because Leveret deletes nothing; delete it by hand:
///   `rabbitmqctl delete_queue leveret.schedule.<name>`. Otherwise a schedule of the same name, years later, begins with catching up.
#[derive(Debug, Clone)]
#[must_use = "a schedule does nothing until a worker has it"]
pub struct Schedule {
    rule: Rule,
    name: Option<String>,
    catch_up: CatchUp,
}

#[derive(Debug, Clone)]
enum Rule {
    Every(Duration),
    #[cfg(feature = "cron")]
    Cron {
        expression: String,
        zone: String,
    },
    #[cfg(feature = "cron")]
    ZoneWithoutCron(Duration),
}

/// What becomes of ticks that were missed, because no replica was running or the broker could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// Nothing. A tick that is up to a minute late is not missed yet, unless the next one is due: that is what a change of leader may
    /// take.
    Skip,
    /// The newest of them is enqueued, once.
    #[default]
    One,
    /// Each is enqueued, one after the other, the oldest first. There is no limit: a schedule of seconds after an outage of days has
    /// a lot to catch up with.
    All,
}

/// One moment at which a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    id: String,
    schedule: String,
    at: Millis,
}

impl Schedule {
    /// By a cron expression: minute, hour, day of month, month, day of week, in front of them seconds if there is a sixth. Ranges, lists,
    /// steps, names (`MON`, `JAN`), `L`, `W`, `#` and nicknames such as `@daily` work; Sunday is 0 or 7. Where day of month and day of week are
    /// both restricted, either is enough, as ever with cron. In UTC, unless [`Schedule::time_zone`] says otherwise.
    ///
    /// ```
    /// # use leveret_worker::Schedule;
    /// let workdays = Schedule::cron("30 8 * * MON-FRI").time_zone("Europe/Berlin");
    /// let seconds = Schedule::cron("*/10 * * * * *"); // every ten seconds
    /// # drop((workdays, seconds));
    /// ```
    #[cfg(feature = "cron")]
    pub fn cron(expression: impl Into<String>) -> Self {
        Self::of(Rule::Cron {
            expression: expression.into(),
            zone: "UTC".to_owned(),
        })
    }

    /// At a fixed interval, from one second to a year: at its multiples since the Unix epoch, so that every replica means the same moments, and a
    /// restart changes none. `every(15 minutes)` is due at :00, :15, :30 and :45, `every(24 hours)` at midnight UTC.
    pub fn every(interval: Duration) -> Self {
        Self::of(Rule::Every(interval))
    }

    fn of(rule: Rule) -> Self {
        Self {
            rule,
            name: None,
            catch_up: CatchUp::default(),
        }
    }

    /// The time zone of a cron expression, by its IANA name. `UTC` by default. The rules are the system's, and where it has none those of the
    /// release.
    ///
    /// When clocks change: an expression without `*` in its hours, minutes and seconds names times of day, each due once a day. One that does not exist that
    /// day is due when the gap ends, one that comes twice is due the first time. An expression with a `*` there (`*/10 * * * *`) is a
    /// rhythm and goes by the clock: nothing is due in the gap, and the hour that comes twice counts twice.
    #[cfg(feature = "cron")]
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.rule = match self.rule {
            Rule::Cron { expression, .. } => Rule::Cron {
                expression,
                zone: name.into(),
            },
            // An interval has no wall clock: told at `build()`.
            Rule::Every(interval) | Rule::ZoneWithoutCron(interval) => Rule::ZoneWithoutCron(interval),
        };
        self
    }

    /// Names the schedule. By default it is called as its job; two schedules of one job need two names. The name is part of a queue's: 1 to
    /// 100 bytes without control characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What becomes of missed ticks: [`CatchUp::One`] by default.
    pub fn catch_up(mut self, policy: CatchUp) -> Self {
        self.catch_up = policy;
        self
    }
}

impl Tick {
    /// The id of the job that this tick enqueues: the queue of the schedule and the tick's time. The same on every replica, and in a
    /// second copy.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name of the schedule.
    #[must_use]
    pub fn schedule(&self) -> &str {
        &self.schedule
    }

    /// When it was due, however late it is.
    #[must_use]
    pub fn due(&self) -> SystemTime {
        time(self.at)
    }

    /// When it was due, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_millis(&self) -> u64 {
        u64::try_from(self.at).unwrap_or(0)
    }
}

fn time(millis: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// What makes the job of a tick: a function without arguments, or of the [`Tick`]. `Marker` tells the two apart for the compiler and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make jobs",
    label = "not a function that returns a job",
    note = "a schedule takes `|| MyJob {{ … }}` or `|tick: Tick| MyJob {{ … }}`"
)]
pub trait MakeJob<Marker>: Send + Sync + 'static {
    /// The job.
    type Job: Job;

    /// Makes it. It runs on the task of the schedule: nothing in it may block or take long. After a panic it is tried again.
    fn make(&self, tick: Tick) -> Self::Job;
}

impl<J: Job, F: Fn() -> J + Send + Sync + 'static> MakeJob<()> for F {
    type Job = J;

    fn make(&self, _: Tick) -> J {
        self()
    }
}

impl<J: Job, F: Fn(Tick) -> J + Send + Sync + 'static> MakeJob<Tick> for F {
    type Job = J;

    fn make(&self, tick: Tick) -> J {
        self(tick)
    }
}

impl WorkerBuilder {
    /// Enqueues a job again and again; see [`Schedule`], which has an example. Any number of replicas may have the same schedule: one of them leads.
    /// The job goes to its type's queue, or where [`WorkerBuilder::route`] says; its handler may be this worker's or another's. Enqueue middlewares do
    /// not see it. A worker that only [drains](crate::Worker::drain) has no schedules.
    pub fn schedule<M>(mut self, schedule: Schedule, job: impl MakeJob<M>) -> Self {
        self.draft.schedules.push(Draft::new(schedule, job));
        self
    }
}
