//! One replica's part of the race, step by step. What many lives of three replicas look like is in `simulation`.

use std::time::Duration;

use super::super::CatchUp;
use super::super::calendar::Calendar;
use super::super::due::Terms;
use super::*;

const SECOND: Millis = 1_000;

fn at(millis: Millis) -> Now {
    Now {
        wall: millis,
        mono: Duration::from_millis(millis.unsigned_abs()),
    }
}

fn relay() -> Relay<&'static str> {
    Relay::new(Runner {
        terms: Terms::new(Calendar::Every(SECOND), CatchUp::One),
        job: "report".to_owned(),
        id: "me".to_owned(),
        renewal: Duration::from_secs(60),
        patience: Duration::from_secs(15),
    })
}

fn baton(by: &str, last: Millis, serial: u64) -> Note {
    Note {
        kind: Kind::Baton,
        last,
        next: Some(last + SECOND),
        serial,
        by: by.to_owned(),
        rule: "every 1000 ms".to_owned(),
        job: "report".to_owned(),
    }
}

/// What it publishes now.
fn published(relay: &mut Relay<&'static str>, now: Now) -> Parcel {
    match relay.step(now) {
        Step::Publish(parcel) => parcel,
        other => panic!("nothing is published: {other:?}"),
    }
}

fn call(relay: &mut Relay<&'static str>, now: Now) -> Note {
    match published(relay, now) {
        Parcel::Note(note) if note.kind == Kind::Call => note,
        other => panic!("no call: {other:?}"),
    }
}

/// A replica that leads with the baton `last`, at that time.
fn leader(last: Millis) -> Relay<&'static str> {
    let mut relay = relay();
    call(&mut relay, at(last));
    relay.stored(at(last));
    relay.delivered(baton("other", last, 7), "baton", at(last));
    let second = call(&mut relay, at(last));
    relay.stored(at(last));
    relay.delivered(second, "call", at(last));
    assert_eq!(relay.take_done_with(), ["call"]);
    relay
}

#[test]
fn whoever_gets_nothing_stands_by_and_calls_again_now_and_then() {
    let mut relay = relay();
    call(&mut relay, at(0));
    relay.stored(at(0));
    assert_eq!(relay.step(at(1_000)), Step::Rest(Duration::from_secs(59)));
    assert_eq!(relay.standing(), Standing::Standby);
    call(&mut relay, at(60_000));
}

#[test]
fn an_old_call_of_its_own_is_no_proof_of_having_seen_everything() {
    // Given a replica that stood by, whose first delivery is the call that it made then
    let mut relay = relay();
    let first = call(&mut relay, at(5_000));
    relay.stored(at(5_000));
    relay.delivered(first, "first", at(9_000));

    // Then it calls once more, and goes by whatever comes before that call comes back
    let second = call(&mut relay, at(9_000));
    relay.stored(at(9_000));
    relay.delivered(baton("other", 8_000, 3), "baton", at(9_000));
    assert_eq!(relay.standing(), Standing::Standby);
    relay.delivered(second, "second", at(9_000));
    assert_eq!(relay.take_done_with(), ["first", "second"]);
    assert_eq!(published(&mut relay, at(9_000)), Parcel::Tick(9_000));
}

#[test]
fn where_there_is_no_baton_the_oldest_call_is_as_good_as_one() {
    let mut relay = relay();
    let mut first = call(&mut relay, at(5_300));
    relay.stored(at(5_300));
    first.by = "other".to_owned();
    relay.delivered(first, "oldest", at(5_300));
    let second = call(&mut relay, at(7_100));
    relay.stored(at(7_100));
    relay.delivered(second, "second", at(7_100));

    // The tick at 6 s was due after the first call ever, and before this replica led.
    assert_eq!(relay.take_done_with(), ["second"]);
    assert_eq!(published(&mut relay, at(6_999)), Parcel::Tick(6_000));
}

#[test]
fn the_old_baton_is_acked_only_once_the_new_one_is_stored() {
    let mut relay = leader(1_000);
    assert_eq!(published(&mut relay, at(2_000)), Parcel::Tick(2_000));
    assert_eq!(relay.step(at(2_000)), Step::Rest(LOOK_AGAIN), "one thing at a time");
    assert!(!relay.may_leave());
    relay.stored(at(2_000));
    assert!(!relay.may_leave(), "the tick is not in the baton yet");
    assert_eq!(published(&mut relay, at(2_000)), Parcel::Note(baton("me", 2_000, 8)));
    assert!(relay.take_done_with().is_empty());
    relay.stored(at(2_000));
    assert_eq!(relay.take_done_with(), ["baton"]);
    assert!(relay.may_leave());
}

#[test]
fn the_next_tick_waits_until_the_baton_has_come() {
    let mut relay = leader(1_000);
    published(&mut relay, at(2_000));
    relay.stored(at(2_000));
    published(&mut relay, at(2_000));
    relay.stored(at(2_000));

    // It does not come, although the next tick is long due: somebody else leads.
    assert!(matches!(relay.step(at(5_000)), Step::Rest(_)));
    relay.delivered(baton("other", 1_500, 99), "behind", at(6_000));
    assert_eq!(relay.take_done_with(), ["baton", "behind"]);
    assert!(matches!(relay.step(at(6_000)), Step::Rest(_)));
    assert_eq!(relay.step(at(17_000)), Step::GiveUp);

    // It comes after all.
    relay.delivered(baton("me", 2_000, 8), "own", at(17_000));
    assert_eq!(published(&mut relay, at(17_000)), Parcel::Tick(17_000));
}

#[test]
fn a_baton_may_come_before_its_confirm() {
    let mut relay = leader(1_000);
    published(&mut relay, at(2_000));
    relay.stored(at(2_000));
    published(&mut relay, at(2_000));
    relay.delivered(baton("me", 2_000, 8), "own", at(2_000));
    relay.stored(at(2_000));
    assert_eq!(relay.take_done_with(), ["baton"], "the new one is kept");
    assert_eq!(published(&mut relay, at(3_000)), Parcel::Tick(3_000));
}

#[test]
fn of_two_batons_the_one_that_is_further_counts_whenever_it_comes() {
    let mut relay = leader(1_000);
    relay.delivered(baton("other", 4_000, 2), "further", at(2_000));
    assert_eq!(relay.take_done_with(), ["baton"]);
    // Its ticks are done: nothing is due at 2 and 3 s.
    assert!(matches!(relay.step(at(4_500)), Step::Rest(_)));
    assert_eq!(published(&mut relay, at(5_000)), Parcel::Tick(5_000));
    // And while a baton is stored that is behind one that comes, the latter is kept.
    relay.stored(at(5_000));
    published(&mut relay, at(5_000));
    relay.delivered(baton("other", 6_000, 2), "furthest", at(5_000));
    relay.stored(at(5_000));
    relay.delivered(baton("me", 5_000, 3), "own", at(5_000));
    assert_eq!(relay.take_done_with(), ["further", "own"]);
    assert_eq!(published(&mut relay, at(7_000)), Parcel::Tick(7_000));
}

#[test]
fn a_refused_tick_is_tried_again_after_longer_and_longer_pauses() {
    let mut relay = leader(1_000);
    let mut now = 2_000;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert!(matches!(published(&mut relay, at(now)), Parcel::Tick(_)));
        relay.refused(at(now));
        let Step::Rest(pause) = relay.step(at(now)) else {
            panic!("it rests");
        };
        now += i64::try_from(pause.as_millis()).expect("short");
        pauses.push(pause.as_millis());
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    assert!(relay.may_leave(), "a refused tick is not half done");
    // The baton says what was done, so it still counts for every tick since.
    assert!(matches!(relay.standing(), Standing::Leading { last: 1_000, .. }));
}

#[test]
fn a_refused_call_is_made_again() {
    let mut relay = relay();
    call(&mut relay, at(0));
    relay.refused(at(0));
    call(&mut relay, at(200));
    relay.stored(at(200));
    relay.delivered(baton("other", 0, 1), "baton", at(300));
    call(&mut relay, at(300));
    relay.refused(at(300));
    let again = call(&mut relay, at(500));
    relay.stored(at(500));
    relay.delivered(again, "call", at(500));
    assert!(matches!(relay.standing(), Standing::Leading { .. }));
}

#[test]
fn a_baton_that_is_held_for_long_is_renewed() {
    let mut relay = leader(1_000);
    relay.runner.terms = Terms {
        calendar: Calendar::Every(86_400_000),
        ..relay.runner.terms
    };
    assert!(matches!(relay.step(at(60_999)), Step::Rest(_)));
    let Parcel::Note(renewed) = published(&mut relay, at(61_000)) else {
        panic!("a note");
    };
    assert_eq!((renewed.kind, renewed.last, renewed.serial), (Kind::Baton, 1_000, 8));
    assert_eq!(renewed.next, Some(86_400_000));
}
