//! Recurring jobs: when, how many times, by which replica.

use std::time::{Duration, SystemTime};

use leveret::broker::memory::{Fault, FaultPoint, MemoryBroker};
use leveret::{Clock, Job, Message, TopologyMode};
use leveret_worker::{CatchUp, Schedule, ScheduleState, Tick, WorkerBuilder, WorkerHandle};
use serde::{Deserialize, Serialize};

use crate::kit::{Note, Running, Stand, int, text};

/// Nobody consumes its queue: what was enqueued lies there to be counted.
#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "tocks", timeout = "30s")]
struct Tock {
    due: u64,
}

const MINUTE: u64 = 60_000;
/// 22 November 2026, 12:00:30 UTC.
const NOON: u64 = 1_795_348_830_000;
/// The full minute before.
const TWELVE: u64 = 1_795_348_800_000;

const BATONS: &str = "leveret.schedule.tock";

/// A broker at noon.
fn stand() -> Stand {
    stand_at(NOON)
}

fn stand_at(millis: u64) -> Stand {
    let clock = Clock::runtime_at(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
    Stand::on(MemoryBroker::with_clock(clock), TopologyMode::Declare)
}

async fn ignore(_: Note) {}

fn minutely() -> Schedule {
    Schedule::every(Duration::from_millis(MINUTE))
}

impl Stand {
    fn replica(&self, schedule: Schedule) -> WorkerBuilder {
        let tock = |tick: Tick| Tock {
            due: tick.unix_millis(),
        };
        self.worker().register(ignore).schedule(schedule, tock)
    }

    fn tocks(&self) -> Vec<Message> {
        self.broker.messages("tocks")
    }

    /// When each of the enqueued was due, in minutes after twelve.
    fn minutes(&self) -> Vec<u64> {
        let due = |message: &Message| int(message, "leveret-tick-ms").expect("a tick") as u64;
        self.tocks()
            .iter()
            .map(|message| (due(message) - TWELVE) / MINUTE)
            .collect()
    }

    fn baton(&self) -> Message {
        let mut notes = self.broker.contents(BATONS);
        assert_eq!(notes.len(), 1, "one note is left: {notes:?}");
        notes.remove(0)
    }
}

async fn end(worker: Running) {
    assert!(worker.stop().await.is_clean());
}

async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_millis(count * MINUTE)).await;
}

/// Waits until a replica leads its only schedule.
async fn leads(handle: &WorkerHandle) {
    wait_for(handle, |state| matches!(state, ScheduleState::Leading { .. })).await;
}

async fn wait_for(handle: &WorkerHandle, wanted: impl Fn(&ScheduleState) -> bool) {
    let mut states = handle.schedules();
    while !states.values().all(&wanted) {
        states = handle.schedules_changed(&states).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_tick_is_enqueued_once_with_an_id_of_its_own() {
    // Given a schedule of minutes
    let stand = stand();
    let worker = Running::start(stand.replica(minutely())).await;

    // When three and a half minutes pass
    minutes(3).await;

    // Then there is one job for each full minute, which knows when it was due
    assert_eq!(stand.minutes(), [1, 2, 3]);
    let first = &stand.tocks()[0];
    let due = TWELVE + MINUTE;
    assert_eq!(&first.body[..], format!(r#"{{"due":{due}}}"#).as_bytes());
    assert_eq!(
        first.properties.message_id.as_deref(),
        Some(&*format!("{BATONS}@{due}"))
    );
    assert_eq!(text(first, "leveret-schedule"), "tock");

    // And the worker tells what it does
    let states = worker.handle.schedules();
    let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    let leading = ScheduleState::Leading {
        last: at(TWELVE + 3 * MINUTE),
        next: Some(at(TWELVE + 4 * MINUTE)),
    };
    assert_eq!(states["tock"], leading);
    assert!(worker.handle.health().to_string().ends_with("; schedule tock: leading"));
    end(worker).await;
}

#[tokio::test(start_paused = true)]
async fn of_three_replicas_one_leads_and_the_next_takes_over_without_a_second_copy() {
    // Given three replicas
    let stand = stand();
    let first = Running::start(stand.replica(minutely())).await;
    leads(&first.handle).await;
    let second = Running::start(stand.replica(minutely())).await;
    let third = Running::start(stand.replica(minutely())).await;
    minutes(2).await;
    wait_for(&second.handle, |state| *state == ScheduleState::Standby).await;
    wait_for(&third.handle, |state| *state == ScheduleState::Standby).await;

    // When the leader shuts down, and later the next
    end(first).await;
    leads(&second.handle).await;
    minutes(2).await;
    end(second).await;
    leads(&third.handle).await;
    minutes(2).await;

    // Then no tick is missing and none is there twice
    assert_eq!(stand.minutes(), [1, 2, 3, 4, 5, 6]);
    stand.baton();
    end(third).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_is_replaced_at_once() {
    // Given a leader and a replica
    let stand = stand();
    let first = Running::start(stand.replica(minutely())).await;
    leads(&first.handle).await;
    let second = Running::start(stand.replica(minutely())).await;
    minutes(1).await;

    // When the leader dies
    first.kill().await;
    leads(&second.handle).await;
    minutes(2).await;

    // Then nothing is missing
    assert_eq!(stand.minutes(), [1, 2, 3]);
    end(second).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_tick_and_baton_costs_one_copy_with_the_same_id() {
    // Given a leader whose connection breaks once it has enqueued its second tick, before it hears of that
    let stand = stand();
    let mut publishes = 0;
    stand.broker.set_faults(move |point| {
        // Call, call, tick, baton, tick.
        publishes += u32::from(point == FaultPoint::Publish);
        match (point, publishes) {
            (FaultPoint::Publish, 5) => Fault::LoseConnection(leveret::broker::memory::Moment::After),
            _ => Fault::None,
        }
    });
    let worker = Running::start(stand.replica(minutely())).await;

    // When it goes on
    minutes(4).await;

    // Then that tick is there twice, the others once
    assert_eq!(stand.minutes(), [1, 2, 2, 3, 4]);
    let ids: Vec<_> = stand
        .tocks()
        .into_iter()
        .map(|message| message.properties.message_id)
        .collect();
    assert_eq!(ids[1], ids[2]);
    stand.baton();
    end(worker).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_nobody_ran_is_caught_up_with_by_policy() {
    for (policy, expected) in [
        (CatchUp::Skip, vec![30, 150]),
        (CatchUp::One, vec![30, 120, 150]),
        (CatchUp::All, vec![30, 60, 90, 120, 150]),
    ] {
        // Given a schedule of half hours whose only replica ends after the first
        let stand = stand();
        let half_hours = || Schedule::every(Duration::from_millis(30 * MINUTE)).catch_up(policy);
        let worker = Running::start(stand.replica(half_hours())).await;
        minutes(31).await;
        end(worker).await;

        // When the next starts ten minutes after the third that was missed
        minutes(99).await;
        let worker = Running::start(stand.replica(half_hours())).await;
        minutes(30).await;
        end(worker).await;

        // Then as much was enqueued as the policy says
        assert_eq!(stand.minutes(), expected, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_baton_is_renewed_long_before_the_broker_takes_it_back() {
    // Given a schedule that is due once a day, at a broker that waits a minute for an ack
    let stand = stand();
    let daily = Schedule::every(Duration::from_secs(86_400));
    let worker = stand.replica(daily).consumer_timeout(Duration::from_secs(60));
    let worker = Running::start(worker).await;
    leads(&worker.handle).await;

    // When ten minutes pass
    let mut serials = Vec::new();
    for _ in 0..10 {
        minutes(1).await;
        serials.push(int(&stand.baton(), "leveret-schedule-serial").expect("a number"));
    }

    // Then each minute has seen another baton, and it says the same
    assert!(serials.windows(2).all(|pair| pair[0] < pair[1]), "{serials:?}");
    assert!(stand.tocks().is_empty());
    end(worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_the_broker_refuses_is_tried_until_it_is_taken() {
    // Given a leader at a broker that refuses what is published
    let stand = stand();
    let worker = Running::start(stand.replica(minutely())).await;
    leads(&worker.handle).await;
    stand.nack_publishes();

    // When a tick is due, then the worker says what holds it up
    wait_for(&worker.handle, |state| matches!(state, ScheduleState::Held { .. })).await;
    assert!(stand.tocks().is_empty());

    // When the broker takes publishes again, then the tick is there
    stand.broker.heal();
    minutes(2).await;
    assert_eq!(stand.minutes(), [1, 2]);
    end(worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_job_queue_is_declared_again_before_the_tick() {
    let stand = stand();
    let worker = Running::start(stand.replica(minutely())).await;
    leads(&worker.handle).await;
    stand.broker.delete_queue("tocks");
    minutes(2).await;
    assert_eq!(stand.minutes(), [1, 2]);
    end(worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_schedule_queue_begins_anew() {
    // Given a leader whose queue is deleted
    let stand = stand();
    let worker = Running::start(stand.replica(minutely())).await;
    leads(&worker.handle).await;
    minutes(1).await;
    stand.broker.delete_queue(BATONS);

    // When time goes on, then the schedule is kept
    minutes(3).await;
    assert_eq!(stand.minutes(), [1, 2, 3, 4]);
    end(worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_purged_schedule_queue_without_a_leader_begins_anew() {
    // Given an empty schedule queue
    let stand = stand();
    let worker = Running::start(stand.replica(minutely())).await;
    minutes(1).await;
    end(worker).await;
    stand.broker.purge(BATONS);

    // When a replica starts, then it leads, and catches up with nothing
    minutes(5).await;
    let worker = Running::start(stand.replica(minutely().catch_up(CatchUp::All))).await;
    minutes(1).await;
    assert_eq!(stand.minutes(), [1, 7]);
    end(worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_schedule_goes_by_its_new_rule_from_then_on() {
    // Given a schedule of minutes that was kept for a while
    let stand = stand();
    let old = Running::start(stand.replica(minutely().catch_up(CatchUp::All))).await;
    minutes(2).await;

    // When a deployment makes it one of two minutes: the new version first, then the old one ends
    let two = Schedule::every(Duration::from_millis(2 * MINUTE)).catch_up(CatchUp::All);
    let new = Running::start(stand.replica(two)).await;
    minutes(1).await;
    end(old).await;
    leads(&new.handle).await;
    minutes(4).await;

    // Then the old rule counted until the end of its process, and the new one since
    assert_eq!(stand.minutes(), [1, 2, 3, 4, 6]);
    end(new).await;
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_the_old_rule_owed_is_caught_up_with_by_the_new() {
    // Given a schedule of ten minutes whose last process ends before its second tick
    let stand = stand();
    let ten = Schedule::every(Duration::from_millis(10 * MINUTE));
    let old = Running::start(stand.replica(ten)).await;
    minutes(11).await;
    end(old).await;

    // When a version with another rule starts after that tick was due
    minutes(12).await;
    let seven = Schedule::every(Duration::from_millis(7 * MINUTE));
    let new = Running::start(stand.replica(seven)).await;
    minutes(10).await;

    // Then the promised tick is there, and of the new rule only what came after
    assert_eq!(stand.minutes(), [10, 20, 28]);
    end(new).await;
}

#[tokio::test(start_paused = true)]
async fn a_cron_schedule_goes_by_its_time_zone() {
    // Given the night in which Berlin's clocks go forward (28 March 2027, 01:00 UTC; it is the day before), and a schedule at half past two
    let stand = stand_at(1_806_105_600_000);
    let nightly = Schedule::cron("30 2 * * *").time_zone("Europe/Berlin");
    let worker = Running::start(stand.replica(nightly)).await;

    // When three days pass
    minutes(3 * 24 * 60).await;

    // Then it was due at half past two, at three where there was no half past two, and at half past two
    let due: Vec<_> = stand
        .tocks()
        .iter()
        .map(|message| int(message, "leveret-tick-ms"))
        .collect();
    assert_eq!(
        due,
        [
            Some(1_806_111_000_000),
            Some(1_806_195_600_000),
            Some(1_806_280_200_000)
        ]
    );
    end(worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_has_no_schedules() {
    let stand = stand();
    let worker = stand.replica(minutely()).build().expect("valid");
    assert!(worker.drain().await.expect("it runs").is_drained());
    assert!(stand.tocks().is_empty() && !stand.broker.queues().contains(&BATONS.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_holds_its_schedule_up_and_nothing_else() {
    // Given a schedule whose job cannot be made
    let stand = stand();
    let broken = || -> Tock { panic!("no job today") };
    let worker = stand.worker().register(ignore).schedule(minutely(), broken);
    let worker = Running::start(worker).await;

    // When it is due, then the worker says so, and works
    wait_for(&worker.handle, |state| matches!(state, ScheduleState::Held { .. })).await;
    let ScheduleState::Held { error } = &worker.handle.schedules()["tock"] else {
        panic!("it was held");
    };
    assert!(
        error.contains("`tock`") && error.contains("panicked") && !error.contains("today"),
        "{error}"
    );
    stand.enqueue([1]).await;
    stand.wait_for_empty("mail").await;
    end(worker).await;
}

#[tokio::test]
async fn what_cannot_be_kept_cannot_be_built() {
    let stand = stand();
    let worker = stand
        .replica(Schedule::every(Duration::from_millis(999)))
        .schedule(Schedule::cron("0 25 * * *").name("late"), || Tock { due: 1 })
        .schedule(
            Schedule::cron("0 3 * * *").time_zone("Mars/Olympus").name("mars"),
            || Tock { due: 1 },
        )
        .schedule(
            Schedule::every(Duration::from_secs(60)).time_zone("UTC").name("zone"),
            || Tock { due: 1 },
        )
        .schedule(minutely().name("tock"), || Tock { due: 1 })
        .schedule(minutely().name(""), || Tock { due: 1 });
    let error = worker.build().expect_err("nothing of it can be kept");
    for words in [
        "`tock` cannot be kept: its interval is 999ms",
        "`late` cannot be kept: the cron expression `0 25 * * *` cannot be read",
        "`mars` cannot be kept: there is no time zone `Mars/Olympus`",
        "`zone` cannot be kept: an interval (60s) has no time zone",
        "two schedules are called `tock`",
        "a schedule cannot be called \"\"",
    ] {
        assert!(
            error.problems().iter().any(|problem| problem.contains(words)),
            "{words}: {error}"
        );
    }
    assert_eq!(error.problems().len(), 6, "{error}");
}
