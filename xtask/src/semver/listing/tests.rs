use serde_json::{Value, json};

use super::super::compare::breaks;
use super::{Listing, listing};

/// A crate `hare` with a struct `Burrow` (1), an enum `Gait` (2), a trait `Dig` (3); ids may be any numbers.
fn hare(change: impl FnOnce(&mut Value)) -> Listing {
    let string = json!({"resolved_path": {"path": "String", "id": 90, "args": null}});
    let mut index = json!({
        "0": {"crate_id": 0, "name": "hare", "inner": {"module": {"items": [1, 2, 3, 14]}}},
        "1": {"crate_id": 0, "name": "Burrow", "attrs": [], "docs": "A home.", "inner": {"struct": {
            "kind": {"plain": {"fields": [10], "has_stripped_fields": true}}, "generics": {"params": []}, "impls": [11, 12]}}},
        "10": {"crate_id": 0, "name": "depth", "inner": {"struct_field": {"primitive": "u32"}}},
        "11": {"crate_id": 0, "name": null, "inner": {"impl": {"trait": null, "items": [13], "blanket_impl": null}}},
        "12": {"crate_id": 0, "name": null, "inner": {"impl": {"trait": {"path": "Send", "id": 91, "args": null},
            "for": {"resolved_path": {"path": "Burrow", "id": 1, "args": null}}, "generics": {"params": []},
            "is_synthetic": true, "items": [], "blanket_impl": null}}},
        "13": {"crate_id": 0, "name": "rename", "inner": {"function": {
            "sig": {"inputs": [["to", string]], "output": null}, "generics": {}, "header": {}, "has_body": true}}},
        "14": {"crate_id": 0, "name": "Den", "attrs": [], "inner": {"struct": {
            "kind": {"tuple": [null]}, "generics": {"params": []}, "impls": []}}},
        "2": {"crate_id": 0, "name": "Gait", "attrs": [], "inner": {"enum": {"generics": {}, "variants": [20], "impls": []}}},
        "20": {"crate_id": 0, "name": "Hop", "attrs": [], "inner": {"variant": {"kind": "plain", "discriminant": null}}},
        "21": {"crate_id": 0, "name": "Run", "attrs": [], "inner": {"variant": {"kind": "plain", "discriminant": null}}},
        "3": {"crate_id": 0, "name": "Dig", "inner": {"trait": {"generics": {}, "bounds": [], "items": [30], "implementations": []}}},
        "30": {"crate_id": 0, "name": "dig", "inner": {"function": {
            "sig": {"inputs": [["self", {"generic": "Self"}]], "output": null}, "generics": {}, "header": {}, "has_body": true}}},
    });
    change(&mut index);
    let paths = json!({
        "1": {"crate_id": 0, "path": ["hare", "Burrow"]},
        "90": {"crate_id": 5, "path": ["alloc", "string", "String"]},
        "91": {"crate_id": 6, "path": ["core", "marker", "Send"]},
    });
    listing(&json!({"root": 0, "index": index, "paths": paths})).unwrap()
}

fn broken(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let (old, new) = (hare(|_| {}), hare(change));
    let lines = breaks(&old, &new).iter().map(ToString::to_string).collect::<Vec<_>>();
    lines
        .iter()
        .filter_map(|line| line.lines().next().map(str::to_owned))
        .collect()
}

#[test]
fn what_nobody_can_notice_breaks_nothing() {
    let unnoticed = broken(|index| {
        index["1"]["docs"] = json!("A better home.");
        index["14"] = json!({"crate_id": 0, "name": "Den", "attrs": [], "inner": {"struct": {
            "kind": {"plain": {"fields": [], "has_stripped_fields": true}}, "generics": {"params": []}, "impls": []}}});
        index["13"]["inner"]["function"]["sig"]["inputs"][0][0] = json!("into");
        index["13"]["span"] = json!({"begin": [7, 1]});
    });
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}

#[test]
fn a_type_that_moves_to_another_private_module_is_the_same_type() {
    let named = |path: Value| {
        let burrow = json!({"resolved_path": {"path": "Burrow", "id": 1, "args": null}});
        let description = json!({"root": 0, "index": {
            "0": {"crate_id": 0, "name": "hare", "inner": {"module": {"items": [2]}}},
            "2": {"crate_id": 0, "name": "dig", "inner": {"function": {
                "sig": {"inputs": [["at", burrow]], "output": null}, "generics": {}, "header": {}, "has_body": true}}},
        }, "paths": {"1": {"crate_id": 0, "path": path}}});
        listing(&description).unwrap()
    };
    let broken = |from: &[&str], to: &[&str]| breaks(&named(json!(from)), &named(json!(to))).len();
    assert_eq!(broken(&["hare", "home", "Burrow"], &["hare", "field", "Burrow"]), 0);
    assert_eq!(broken(&["hare", "home", "Burrow"], &["hare", "home", "Den"]), 1);
}

#[test]
fn an_argument_of_another_type_is_a_change() {
    let other = broken(|index| index["13"]["inner"]["function"]["sig"]["inputs"][0][1] = json!({"primitive": "str"}));
    assert_eq!(other, ["changed: hare::Burrow::rename"]);
}

#[test]
fn what_is_no_longer_exported_is_removed_with_its_parts() {
    let hidden = broken(|index| index["0"]["inner"]["module"]["items"] = json!([1, 3, 14]));
    assert_eq!(hidden, ["removed: hare::Gait", "removed: hare::Gait::Hop"]);
}

#[test]
fn a_type_that_can_no_longer_be_sent_lost_an_implementation() {
    let lost = broken(|index| index["1"]["inner"]["struct"]["impls"] = json!([11]));
    assert_eq!(lost.len(), 1);
    assert!(
        lost[0].starts_with("removed: impl ") && lost[0].contains("core::marker::Send"),
        "{lost:?}"
    );
}

#[test]
fn a_variant_of_an_exhaustive_enum_and_a_method_without_a_body_are_breaks() {
    let more = broken(|index| {
        index["2"]["inner"]["enum"]["variants"] = json!([20, 21]);
        index["30"]["inner"]["function"]["has_body"] = json!(false);
    });
    assert_eq!(
        more,
        [
            "changed: hare::Dig::dig",
            "added where users list everything: hare::Gait::Run"
        ]
    );
}

#[test]
fn an_item_keeps_its_place_when_its_module_becomes_private_and_it_is_re_exported() {
    let moved = broken(|index| {
        index["0"]["inner"]["module"]["items"] = json!([1, 40, 3, 14]);
        index["40"] = json!({"crate_id": 0, "name": null, "inner": {"use": {"source": "gait::Gait", "name": "Gait", "id": 2, "is_glob": false}}});
    });
    assert!(moved.is_empty(), "{moved:?}");
}
