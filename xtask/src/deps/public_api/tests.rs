use serde_json::{Value, json};

use super::foreign_types;

/// A crate `hare` in which item 1 is public; ids from 100 belong to `lapin`.
fn hare(items: Value) -> Value {
    let mut index = json!({"0": {"crate_id": 0, "name": "hare", "inner": {"module": {"items": [1]}}}});
    let all = index.as_object_mut().unwrap();
    items.as_object().unwrap().iter().for_each(|(id, item)| {
        all.insert(id.clone(), item.clone());
    });
    json!({
        "root": 0,
        "index": index,
        "paths": {
            "1": {"crate_id": 0, "path": ["hare", "Burrow"]},
            "100": {"crate_id": 7, "path": ["lapin", "Channel"]},
            "101": {"crate_id": 7, "path": ["lapin", "Error"]},
        },
        "external_crates": {"7": {"name": "lapin"}},
    })
}

fn lapin(id: u64) -> Value {
    json!({"resolved_path": {"path": "Channel", "id": id, "args": null}})
}

fn found(description: &Value) -> Vec<String> {
    foreign_types(description)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn an_argument_deep_in_a_method_is_found() {
    // Given a struct with a method that takes an `Option<&Channel>`
    let argument = json!({"resolved_path": {"path": "Option", "id": 55, "args": {"angle_bracketed": {"args": [
        {"type": {"borrowed_ref": {"type": lapin(100)}}}]}}}});
    let description = hare(json!({
        "1": {"crate_id": 0, "name": "Burrow", "inner": {"struct": {"kind": {"plain": {"fields": []}}, "impls": [2]}}},
        "2": {"crate_id": 0, "name": null, "inner": {"impl": {"items": [3], "blanket_impl": null}}},
        "3": {"crate_id": 0, "name": "dig", "inner": {"function": {"sig": {"inputs": [["way", argument]]}}}},
    }));

    // When the API is walked, then the method is named
    assert_eq!(found(&description), ["hare::Burrow::dig names lapin::Channel"]);
}

#[test]
fn an_implemented_trait_counts_with_its_parameters() {
    // Given `impl From<lapin::Error> for Burrow`
    let parameter = json!({"angle_bracketed": {"args": [{"type": lapin(101)}]}});
    let description = hare(json!({
        "1": {"crate_id": 0, "name": "Burrow", "inner": {"enum": {"variants": [], "impls": [2]}}},
        "2": {"crate_id": 0, "name": null, "inner": {"impl": {
            "items": [], "blanket_impl": null, "trait": {"path": "From", "id": 50, "args": parameter}}}},
    }));

    // When the API is walked, then the type is named
    assert_eq!(found(&description), ["hare::Burrow names lapin::Error"]);
}

#[test]
fn public_fields_variants_and_reexports_are_found() {
    // Given an enum with a variant that holds a channel, and a module that exports one
    let description = hare(json!({
        "1": {"crate_id": 0, "name": "burrows", "inner": {"module": {"items": [2, 5]}}},
        "2": {"crate_id": 0, "name": "Burrow", "inner": {"enum": {"variants": [3], "impls": []}}},
        "3": {"crate_id": 0, "name": "Deep", "inner": {"variant": {"kind": {"tuple": [null, 4]}}}},
        "4": {"crate_id": 0, "name": "1", "inner": {"struct_field": lapin(100)}},
        "5": {"crate_id": 0, "name": null, "inner": {"use": {"source": "lapin::Error", "id": 101}}},
    }));

    // When the API is walked, then both are named
    assert_eq!(
        found(&description),
        [
            "hare::burrows::Burrow::Deep::1 names lapin::Channel",
            "hare::burrows names lapin::Error"
        ]
    );
}

#[test]
fn what_the_compiler_adds_and_what_is_private_is_left_out() {
    // Given a blanket impl, an auto trait and a private function that name a channel
    let names = json!({"path": "Channel", "id": 100, "args": null});
    let description = hare(json!({
        "1": {"crate_id": 0, "name": "Burrow", "inner": {"struct": {"kind": "unit", "impls": [2, 3]}}},
        "2": {"crate_id": 0, "name": null, "inner": {"impl": {"items": [], "trait": names, "blanket_impl": {}}}},
        "3": {"crate_id": 0, "name": null, "inner": {"impl": {
            "items": [], "trait": names, "blanket_impl": null, "is_synthetic": true}}},
        "9": {"crate_id": 0, "name": "private", "inner": {"function": {"sig": {"output": lapin(100)}}}},
    }));

    // When the API is walked, then nothing is found
    assert_eq!(found(&description), Vec::<String>::new());
}

#[test]
fn a_description_of_another_shape_is_an_error_and_no_pass() {
    assert!(foreign_types(&json!({"root": 0})).is_err());
}
