//! What can be planned, and what is refused.

use std::time::Duration;

use super::*;
use crate::blocking::IntoBlockingHandler;
use crate::config::{DEFAULT_CONCURRENCY, LONG_JOB};
use crate::context::Context;
use crate::extract::State;
use crate::fixtures::{Endless, Greet, Part, PartAgain, PartElsewhere};
use crate::handler::IntoHandler;

async fn greet(_: Greet, _: Context) {}
async fn greet_twice(_: Greet) {}
async fn part(_: Part, _: State<u8>, _: State<u8>) {}
async fn part_again(_: PartAgain) {}
async fn part_elsewhere(_: PartElsewhere) {}
async fn endless(_: Endless) {}

fn mail() -> Queue {
    Queue::new("mail")
}

fn draft(registrations: Vec<Registration>) -> Draft {
    Draft {
        registrations,
        ..Draft::default()
    }
}

fn setting(queue: Queue, concurrency: Option<usize>, prefetch: Option<u16>) -> QueueSetting {
    QueueSetting {
        concurrency,
        prefetch,
        ..QueueSetting::of(&queue)
    }
}

/// The problems of a draft, of which each must contain the words beside it.
fn assert_problems(draft: Draft, expected: &[&str]) {
    let problems = draft.plan().expect_err("it has problems").problems;
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, words) in problems.iter().zip(expected) {
        assert!(problem.contains(words), "{words:?} is not in {problem:?}");
    }
}

#[test]
fn a_plan_has_each_queue_once_with_its_limits() {
    let mut draft = draft(vec![greet.into_handler(), part_again.into_handler()]);
    draft.queues.push(setting(mail(), Some(32), None));
    draft.routes.push(Route::of::<PartAgain>(Queue::new("exits")));

    let plan = draft.plan().expect("nothing is wrong");

    let told: Vec<_> = plan
        .queues
        .iter()
        .map(|one| (one.queue.name(), one.concurrency, one.prefetch))
        .collect();
    assert_eq!(told, [("exits", 10, 10), ("mail", 32, 32)]);
    assert!(plan.registry.find("part").is_some(), "an alias is a name");
}

#[test]
fn a_queue_of_short_jobs_only_has_a_surplus() {
    let mut draft = draft(vec![part.into_handler()]);
    draft.states.put(1u8);
    let plan = draft.plan().expect("nothing is wrong");
    assert_eq!(plan.queues[0].prefetch, 20);
    assert_eq!(plan.queues[0].longest_wait, LONG_JOB);
}

#[test]
fn a_worker_without_handlers_is_refused() {
    assert_problems(Draft::default(), &["no handler is registered"]);
}

#[test]
fn all_problems_are_told_at_once() {
    let mut draft = draft(vec![
        greet.into_handler(),
        greet_twice.into_handler(),
        part.into_handler(),
        part_again.into_handler(),
        part_elsewhere.into_handler(),
        endless.into_handler(),
    ]);
    draft.queues.push(setting(Queue::new("nobody"), Some(1), None));
    draft.routes.push(Route {
        job: "stranger",
        ..Route::of::<Greet>(mail())
    });
    draft.problems.push("the URL is odd".to_owned());

    assert_problems(
        draft,
        &[
            "the URL is odd",
            "`stranger` is routed to the queue `mail`",
            "takes a state of type `u8`",
            "`endless` may take 3600s",
            "`greet` has two handlers",
            "both claim the name `part`",
            "`mail` is defined in two ways: by the job `greet` (Quorum",
            "the queue `nobody` is set up",
        ],
    );
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (concurrency, prefetch, expected) in [
        (Some(0), None, "is 0: it must be from 1 to 2000"),
        (Some(2_001), None, "is 2001: it must be from 1 to 2000"),
        (Some(5), Some(4), "is 4: it must be from its concurrency (5) to 2000"),
        (None, Some(2_001), "is 2001"),
    ] {
        let mut draft = draft(vec![greet.into_handler()]);
        draft.queues.push(setting(mail(), concurrency, prefetch));
        assert_problems(draft, &[expected]);
    }
}

#[test]
fn a_short_consumer_timeout_meets_the_default_job_timeout() {
    let mut draft = draft(vec![greet.into_handler()]);
    draft.settings.consumer_timeout = Duration::from_secs(600);
    assert_problems(draft, &["`greet` may take 1500s"]);
}

#[test]
fn a_queue_of_blocking_handlers_has_a_slot_for_each_core() {
    fn compute(_: Greet) {}
    fn compute_part(_: Part) {}
    let slots = |registrations, concurrency: Option<usize>| {
        let mut draft = draft(registrations);
        draft.settings.cores = 3;
        draft
            .queues
            .extend(concurrency.map(|jobs| setting(mail(), Some(jobs), None)));
        draft.plan().expect("nothing is wrong").queues[0].concurrency
    };
    let blocking = || vec![compute.into_blocking_handler(), compute_part.into_blocking_handler()];
    let mixed = || vec![greet.into_handler(), compute_part.into_blocking_handler()];
    assert_eq!((slots(blocking(), None), slots(blocking(), Some(7))), (3, 7));
    assert_eq!(slots(mixed(), None), DEFAULT_CONCURRENCY);
}

#[test]
fn blocking_handlers_have_a_thread_for_each_slot_or_as_many_as_set() {
    fn compute(_: Greet) {}
    async fn exit(_: PartAgain) {}
    let count = |set| {
        let mut draft = draft(vec![compute.into_blocking_handler(), exit.into_handler()]);
        draft.routes.push(Route::of::<PartAgain>(Queue::new("exits")));
        draft.queues.push(setting(mail(), Some(7), None));
        draft.settings.blocking_threads = set;
        let plan = draft.plan().expect("nothing is wrong");
        let of = |job| plan.registry.find(job).expect("registered").pipeline.threads.clone();
        assert!(of("part_again").is_none(), "an async handler needs none");
        of("greet").expect("it blocks").count()
    };
    assert_eq!((count(None), count(Some(2))), (7, 2));

    let mut none = draft(vec![compute.into_blocking_handler()]);
    none.settings.blocking_threads = Some(0);
    assert_problems(none, &["need a thread at least"]);
}

#[test]
fn the_error_lists_its_problems() {
    let error = Draft::default().plan().expect_err("no handler");
    assert_eq!(
        error.to_string(),
        format!("the worker cannot be built\n  - {}", error.problems()[0])
    );
}
