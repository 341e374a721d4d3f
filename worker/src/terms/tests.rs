//! Every setting in every combination: which policy holds.

use std::sync::Arc;

use leveret::{Backoff, Job, Queue, RetryPolicy};

use super::*;
use crate::fixtures::{Greet, Part};
use crate::handler::JobSpec;

const fn attempts(number: u32) -> RetryPolicy {
    RetryPolicy::new(number, Backoff::none())
}

/// From the weakest to the strongest, as numbers of attempts.
const LEVELS: [(&str, u32); 6] = [
    ("type", 5),
    ("worker", 10),
    ("queue", 20),
    ("job", 30),
    ("handler", 40),
    ("payload", 50),
];

#[test]
fn the_strongest_of_what_is_set_holds_in_every_combination() {
    for set in 0_u32..32 {
        let is_set = |level: usize| level == 0 || set & (1 << (level - 1)) != 0;
        let mut draft = TermsDraft::default();
        let [_, worker, queue, job, handler, payload] = LEVELS.map(|(_, number)| attempts(number));
        draft.worker = is_set(1).then_some(worker);
        if is_set(2) {
            draft.queues.push((Queue::new("mail"), queue));
        }
        if is_set(3) {
            draft.jobs.push((Greet::NAME, job));
        }
        if is_set(5) {
            draft.by_payload::<Greet>(move |greet| attempts(payload.max_attempts() + u32::from(greet.number == 0)));
        }
        // What is set for others changes nothing.
        draft.queues.push((Queue::new("elsewhere"), attempts(99)));
        draft.jobs.push((Part::NAME, attempts(99)));
        draft.by_payload::<Part>(|_| attempts(99));

        let retrying = Retrying::new(Arc::new(draft.terms(&JobSpec::of::<Greet>())));
        retrying.meet(&Greet { number: 7 }, is_set(4).then_some(handler));

        let (name, expected) = LEVELS[(0..6).rev().find(|level| is_set(*level)).expect("the type's own")];
        assert_eq!(retrying.policy().max_attempts(), expected, "{name} of {set:05b}");
    }
}

#[test]
fn the_queue_is_the_one_that_the_job_is_consumed_from() {
    let mut draft = TermsDraft::default();
    draft.queues.push((Queue::new("mail"), attempts(20)));
    draft.queues.push((Queue::new("staging-mail"), attempts(21)));
    let mut routed = JobSpec::of::<Greet>();
    routed.queue = Queue::new("staging-mail");
    assert_eq!(draft.terms(&routed).policy, attempts(21));
}

#[test]
fn of_two_settings_of_the_same_the_later_holds() {
    let mut draft = TermsDraft::default();
    draft.jobs.push((Greet::NAME, attempts(1)));
    draft.jobs.push((Greet::NAME, attempts(2)));
    assert_eq!(draft.terms(&JobSpec::of::<Greet>()).policy, attempts(2));
}

fn rule(says: Option<Retry>) -> Rule {
    Arc::new(move |_| says)
}

#[test]
fn the_first_rule_that_says_something_counts_and_those_of_the_type_are_asked_first() {
    let (never, policy) = (Some(Retry::Never), Some(Retry::ByPolicy));
    let job = Some(Greet::NAME);
    for (rules, expected) in [
        (vec![], None),
        (vec![(None, None)], None),
        (vec![(None, never)], never),
        (vec![(None, None), (None, never), (None, policy)], never),
        (vec![(None, never), (job, policy)], policy),
        (vec![(None, never), (job, None)], never),
        (vec![(Some(Part::NAME), never)], None),
    ] {
        let draft = TermsDraft {
            rules: rules.iter().map(|(job, says)| (*job, rule(*says))).collect(),
            ..TermsDraft::default()
        };
        let retrying = Retrying::new(Arc::new(draft.terms(&JobSpec::of::<Greet>())));

        retrying.judge(1, &std::fmt::Error);

        assert_eq!(retrying.rule(), expected, "{rules:?}");
        assert!(retrying.is_judged());
    }
}

#[test]
fn settings_for_strangers_are_problems() {
    let mut draft = TermsDraft::default();
    draft.jobs.push((Part::NAME, attempts(1)));
    draft.rules.push((Some(Part::NAME), rule(None)));
    draft.queues.push((Queue::new("elsewhere"), attempts(1)));

    let problems = draft.problems(&[JobSpec::of::<Greet>()]);

    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("the job `part`") && problems[1].contains("the queue `elsewhere`"));
}
