//! Bytes from elsewhere: what holds of each, tried with random ones and with all that the fuzz targets (`fuzz/`) have found.

#![allow(clippy::unwrap_used, clippy::expect_used)]

// The fuzz targets see these items too.
#[allow(unreachable_pub)]
mod properties;
mod strategies;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::properties::{amqp, history, ladder, letter, line, message, url, worker};
use crate::strategies::{fields, lines, urls};

type Check = fn(&[u8]);

/// Each fuzz target, by the name of its file and of the folder of its seeds.
const TARGETS: [(&str, Check); 8] = [
    ("amqp", amqp::check),
    ("history", history::check),
    ("ladder", ladder::check),
    ("letter", letter::check),
    ("line", line::check),
    ("message", message::check),
    ("url", url::check),
    ("worker", worker::check),
];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = paths
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn what_the_fuzz_targets_found_holds() {
    for (target, check) in TARGETS {
        let seeds = fuzz().join("seeds").join(target);
        let found = fs::read_dir(&seeds).unwrap_or_else(|error| panic!("{}: {error}", seeds.display()));
        for seed in found {
            let seed = seed.unwrap().path();
            // Shown if it fails: a panic does not say of what.
            println!("{}", seed.display());
            check(&fs::read(seed).unwrap());
        }
    }
}

#[test]
fn each_fuzz_target_is_tried_here_and_has_seeds() {
    let here: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), here);
    assert_eq!(names(&fuzz().join("seeds")), here);
}

/// Any bytes: what stands for messages here reads them as instructions.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..40], 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_is_read_or_refused_and_published_again(input in bytes()) {
        message::check(&input);
    }

    #[test]
    fn any_history_is_read_and_kept_within_its_budget(input in prop_oneof![strategies::histories(), any::<String>()]) {
        history::check(input.as_bytes());
    }

    #[test]
    fn any_routing_key_leads_to_one_queue_or_to_none(input in bytes()) {
        ladder::check(&input);
    }

    #[test]
    fn any_letter_is_listed_carried_and_redriven(input in bytes()) {
        letter::check(&input);
    }

    #[test]
    fn any_line_is_imported_or_refused(input in lines()) {
        line::check(input.as_bytes());
    }

    #[test]
    fn any_url_keeps_its_password(input in urls()) {
        url::check(input.as_bytes());
    }

    #[test]
    fn any_properties_are_written_as_they_were_read(input in fields()) {
        amqp::check(&input);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_is_done_or_dead_in_the_end(input in bytes()) {
        worker::check(&input);
    }
}
