//! A replica for the suite `schedules`: a worker with a schedule of seconds, in a process that can be killed.
//!
//! Arguments: the queue of the jobs, the name of the schedule; `AMQP_URL` names the broker. It prints `leading` and `standby` as they come to be.

// Test code: a broken expectation ends the process, and the test with it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use leveret::{ConnectOptions, Job, Queue};
use leveret_worker::{CatchUp, Schedule, ScheduleState, Worker};
use serde::{Deserialize, Serialize};

/// What the schedule enqueues.
#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "unused", timeout = "30s")]
struct Tock;

/// A worker has to have a handler.
#[derive(Debug, Serialize, Deserialize, Job)]
#[job(queue = "schedules-idle", timeout = "30s")]
struct Idle;

async fn idle(_: Idle) {}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |what: &str| arguments.next().unwrap_or_else(|| panic!("no {what}"));
    let (queue, name) = (argument("queue"), argument("name"));
    let options = ConnectOptions::from_env().expect("a good URL");
    let schedule = Schedule::every(Duration::from_secs(1))
        .name(name)
        .catch_up(CatchUp::All);
    let worker = Worker::builder(options)
        .register(idle)
        .route::<Tock>(Queue::named(queue).expect("short"))
        .schedule(schedule, || Tock)
        .build();
    let worker = worker.expect("it is well put together");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run_until_signal());
    let mut states = handle.schedules();
    loop {
        let state = states.values().next().expect("it has a schedule");
        match state {
            ScheduleState::Leading { .. } => println!("leading"),
            ScheduleState::Standby => println!("standby"),
            ScheduleState::Stopped => break,
            other => println!("{other}"),
        }
        states = handle.schedules_changed(&states).await;
    }
    let report = running.await.expect("no panic").expect("it ran");
    println!("{report}");
}
