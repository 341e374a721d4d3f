//! The simulation: producer and worker, whole, on the in-memory broker, under faults at every step, with time that passes only
//! when everybody waits. A seed decides everything, so each run can be repeated: `LEVERET_SIM_SEED=4711 cargo test -p
//! leveret-tests --test simulation -- --nocapture one_seed`.

// A broken expectation ends the test at the place where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check;
mod life;
mod weather;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use life::{Story, live, live_in};
use weather::Climate;

/// Seeds that once showed a bug, named after it.
const NAMED: &[(&str, u64)] = &[
    ("jobs that wait for room in their own full queue keep it full", 205),
    ("a successor in doubt is published again without saying so", 868),
    ("a queue whose declaration hits an internal error is given up", 4),
    ("a snoozed job runs again on its delivery for ever", 1076),
    (
        "the order of a job is judged by its twin while the job itself waits as a suspect",
        4286,
    ),
    (
        "a job that was returned by a copy, and came again, has two successors",
        13_088,
    ),
];

/// How many seeds a normal run tries; `LEVERET_SIM_SEEDS` overrides it.
const SEEDS: u64 = 5_000;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs a seed; a broken promise names the seed.
fn run(seed: u64) -> Story {
    let outcome = std::panic::catch_unwind(|| live(seed));
    outcome.unwrap_or_else(|_| panic!("seed {seed} breaks a promise; run it alone with LEVERET_SIM_SEED={seed}"))
}

#[test]
fn no_promise_breaks_under_any_of_many_seeds() {
    let seeds = variable("LEVERET_SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let total = std::thread::scope(|scope| {
        let runners: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut total = Story::default();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds {
                            return total;
                        }
                        total.add(&run(seed));
                    }
                })
            })
            .collect();
        let stories = runners
            .into_iter()
            .map(|runner| runner.join().expect("the seed is named above"));
        stories.fold(Story::default(), |mut total, story| {
            total.add(&story);
            total
        })
    });
    println!("{seeds} seeds in {:?}: {total}", started.elapsed());
    // A simulation in which nothing goes wrong proves nothing.
    assert!(
        total.faults > seeds && total.duplicates > 0 && total.dead > 0 && total.unknown > 0 && total.refused > 0,
        "{total}"
    );
}

#[test]
fn seeds_that_once_showed_a_bug_stay_sound() {
    for (bug, seed) in NAMED {
        println!("{bug}: {}", run(*seed));
    }
}

fn no_promise_breaks_in(climate: Climate) {
    let seeds = 0..variable("LEVERET_SIM_SEEDS").unwrap_or(SEEDS) / 20;
    let mut total = Story::default();
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| live_in(seed, climate));
        total.add(&outcome.unwrap_or_else(|_| panic!("seed {seed} breaks a promise in the climate {climate:?}")));
    }
    println!("{climate:?}: {total}");
    assert_eq!(live_in(17, climate), live_in(17, climate));
}

#[test]
fn no_promise_breaks_where_consumers_are_forgotten_without_a_word() {
    no_promise_breaks_in(Climate::Forgets);
}

#[test]
fn no_promise_breaks_where_publishing_is_forbidden_every_now_and_then() {
    no_promise_breaks_in(Climate::Forbids);
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in [1, 17, 4711] {
        assert_eq!(live(seed), live(seed), "seed {seed}");
    }
}

#[test]
fn one_seed() {
    leveret_tests::logs::init();
    let seed = variable("LEVERET_SIM_SEED").unwrap_or(0);
    println!("seed {seed}: {}", live(seed));
}
