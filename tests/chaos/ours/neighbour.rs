//! A neighbour that publishes to our queue what is no job.

use std::time::Duration;

use leveret::{DeadLetters, Filter, Queue, Rabbit};
use leveret_tests::python;
use leveret_tests::signal::eventually_within;
use leveret_tests::soak::Soak;
use leveret_tests::soak::record::now;

use super::{GROUP, SOON};
use crate::scenario::{Scenario, Setup};
use crate::stage::{Stage, load};

const PROGRAM: &str = include_str!("neighbour.py");
/// How long it may take until all of it is among the dead letters.
const PATIENCE: Duration = Duration::from_secs(60);
/// So long a busy machine may need between two good jobs.
const LONGEST_PAUSE: u64 = 8_000;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    group: GROUP,
    name: "bad-neighbour",
    what: "somebody publishes garbage, empty bodies, wrong content types, huge headers and 1 MB bodies to our queue",
    setup: Setup::Node(&[]),
    load: load(30),
    within: SOON,
    act: |stage| {
        Box::pin(bad_neighbour(
            stage,
            &["garbage", "empty", "content", "headers", "large"],
        ))
    },
}];

/// A body: how long it is, and its CRC-32.
type Body = (usize, u32);

/// No good job waits for it, no connection is lost to it, and each of its messages is a dead letter with the same bytes.
async fn bad_neighbour(stage: &mut Stage, kinds: &[&str]) {
    stage.allowed.dead = Some(0);
    stage.allowed.once = true;
    let connections = stage.connections().await;
    stage.cause_begins();
    let began = now();
    let mut published = publish(stage, kinds).await;
    stage.cause_ended();
    stage.note(format!("{} messages of no use", published.len()));
    let all = format!("{} dead letters of the neighbour's are there", published.len());
    let arrived = async || foreign_letters(stage).await.len() >= published.len();
    eventually_within(PATIENCE, all, arrived).await;
    let mut dead = foreign_letters(stage).await;
    published.sort_unstable();
    dead.sort_unstable();
    if dead != published {
        let (dead, published) = (dead.len(), published.len());
        stage.fault(format!("{dead} dead letters are not the {published} messages"));
    }
    if stage.connections().await != connections {
        stage.fault("a connection was lost");
    }
    let mut ends: Vec<u64> = stage.flow.worked().iter().map(|line| line.at).collect();
    ends.sort_unstable();
    let during = ends.windows(2).filter(|pair| pair[1] > began);
    let pause = during.map(|pair| pair[1] - pair[0]).max().unwrap_or(u64::MAX);
    stage.note(format!("good jobs paused for {pause} ms at most"));
    if pause > LONGEST_PAUSE {
        stage.fault("good jobs had to wait");
    }
}

/// Has them published, and returns their bodies.
async fn publish(stage: &Stage, kinds: &[&str]) -> Vec<Body> {
    let interpreter = python::find().unwrap_or_else(|error| panic!("{error}"));
    let mut command = tokio::process::Command::new(interpreter);
    command.args(["-c", PROGRAM, &stage.flow.queue]).args(kinds);
    command.env("AMQP_URL", stage.node().amqp_url()).kill_on_drop(true);
    let output = command.output().await.expect("it was found");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the neighbour: {said}");
    let body = |line: &str| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    let lines = String::from_utf8_lossy(&output.stdout);
    lines.lines().map(|line| body(line).expect("its line")).collect()
}

/// The bodies of the dead letters that are none of our jobs.
async fn foreign_letters(stage: &Stage) -> Vec<Body> {
    let rabbit = Rabbit::connect(stage.node().amqp_url())
        .await
        .expect("the node answers");
    let queue = Queue::named(&stage.flow.queue).expect("a name");
    let listed = DeadLetters::of(&rabbit, &queue).letters(Filter::all()).await;
    rabbit.close().await;
    let found = match listed {
        Ok(listed) => listed.found,
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => panic!("{error}"),
    };
    let of_ours = |body: &[u8]| serde_json::from_slice::<Soak>(body).is_ok();
    let foreign = found.iter().filter(|letter| !of_ours(&letter.message.body));
    foreign
        .map(|letter| (letter.message.body.len(), crc32fast::hash(&letter.message.body)))
        .collect()
}
