//! What is recorded, and how a new count compares with it. Pure.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// So much more or less is no change, in percent.
const TOLERANCE: f64 = 3.0;

/// Counts, and where they were made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) setting: Setting,
    pub(super) counts: Counts,
}

/// What counts depend on besides our code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) compiler: String,
    /// The C library.
    pub(super) library: String,
    pub(super) valgrind: String,
    pub(super) architecture: String,
}

/// Instructions per job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counts {
    /// From the call to the confirm.
    pub(super) enqueue: f64,
    /// Decode, dispatch, verdict, settle.
    pub(super) work: f64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} instructions per enqueue, {} per worked job",
            self.enqueue, self.work
        )
    }
}

impl Setting {
    /// In what it differs, as sentences.
    fn differences(&self, now: &Self) -> Vec<String> {
        [
            ("compiler", &self.compiler, &now.compiler),
            ("C library", &self.library, &now.library),
            ("valgrind", &self.valgrind, &now.valgrind),
            ("architecture", &self.architecture, &now.architecture),
        ]
        .into_iter()
        .filter(|(_, recorded, now)| recorded != now)
        .map(|(what, recorded, now)| format!("the {what} is {now}, the recorded numbers are of {recorded}"))
        .collect()
    }
}

impl Record {
    /// Reads what [`Record::text`] wrote.
    pub(super) fn read(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let word = |name: &str| {
            let word = value["setting"][name].as_str();
            word.map(str::to_owned).with_context(|| format!("no {name} in it"))
        };
        let count = |name: &str| {
            let count = value["instructions_per_job"][name]
                .as_f64()
                .filter(|count| *count > 0.0);
            count.with_context(|| format!("no count of {name} in it"))
        };
        Ok(Self {
            setting: Setting {
                compiler: word("compiler")?,
                library: word("library")?,
                valgrind: word("valgrind")?,
                architecture: word("architecture")?,
            },
            counts: Counts {
                enqueue: count("enqueue")?,
                work: count("work")?,
            },
        })
    }

    /// As it lies in the repository.
    pub(super) fn text(&self) -> String {
        let Self { setting, counts } = self;
        let value = json!({
            "instructions_per_job": { "enqueue": counts.enqueue, "work": counts.work },
            "setting": {
                "compiler": setting.compiler,
                "library": setting.library,
                "valgrind": setting.valgrind,
                "architecture": setting.architecture,
            },
        });
        format!("{value:#}\n")
    }

    /// What to say of the same as this; an error if it is not.
    pub(super) fn compare(&self, now: &Self) -> Result<String> {
        let paths = [
            ("enqueue", self.counts.enqueue, now.counts.enqueue),
            ("work", self.counts.work, now.counts.work),
        ];
        let changes = paths.map(|(_, before, now)| (now / before - 1.0) * 100.0);
        let lines: Vec<String> = paths
            .iter()
            .zip(changes)
            .map(|((path, before, now), change)| {
                format!("{path}: {now} instructions per job, {before} recorded ({change:+.2} %)")
            })
            .chain(self.setting.differences(&now.setting))
            .collect();
        let report = lines.join("\n");
        let elsewhere = match self.setting == now.setting {
            true => "",
            false => " Or nothing of ours did: see above what is not as it was when the numbers were recorded.",
        };
        if changes.iter().any(|change| *change > TOLERANCE) {
            bail!(
                "{report}\na hot path costs more than {TOLERANCE} % more than before. Find what slowed it (valgrind --tool=callgrind on target/counts/leveret-counts); \
                 if that is worth it, `cargo xtask counts --record`, and say why in the commit.{elsewhere}"
            );
        }
        if changes.iter().any(|change| *change < -TOLERANCE) {
            bail!(
                "{report}\na hot path costs over {TOLERANCE} % less than before: well done. Keep it so: `cargo xtask counts --record`.{elsewhere}"
            );
        }
        Ok(report)
    }
}

/// The count in what callgrind says at its end.
pub(super) fn collected(words: &str) -> Option<u64> {
    let mut lines = words.lines().rev();
    lines.find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(enqueue: f64, work: f64) -> Record {
        Record {
            setting: Setting {
                compiler: "rustc 1.95.0".to_owned(),
                library: "glibc 2.36".to_owned(),
                valgrind: "valgrind-3.19.0".to_owned(),
                architecture: "x86_64".to_owned(),
            },
            counts: Counts { enqueue, work },
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let record = record(10_000.0, 20_500.0);
        assert_eq!(Record::read(&record.text()).expect("its own text"), record);
        for broken in ["", "{}", "{\"instructions_per_job\": {\"enqueue\": 0, \"work\": 1}}"] {
            assert!(Record::read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn up_to_three_percent_either_way_is_no_change() {
        let recorded = record(10_000.0, 20_000.0);
        for (enqueue, work) in [(10_000.0, 20_000.0), (10_290.0, 19_410.0), (9_710.0, 20_590.0)] {
            let report = recorded.compare(&record(enqueue, work)).expect("within the tolerance");
            assert!(report.contains(" %)"), "{report}");
        }
    }

    #[test]
    fn more_is_told_to_be_mended_and_less_to_be_recorded() {
        let recorded = record(10_000.0, 20_000.0);
        for (now, words) in [
            (record(10_310.0, 20_000.0), "more than before"),
            (record(10_000.0, 20_610.0), "more than before"),
            (record(9_690.0, 20_000.0), "less than before"),
            // Better here does not pay for worse there.
            (record(9_000.0, 21_000.0), "more than before"),
        ] {
            let error = recorded.compare(&now).expect_err("beyond the tolerance").to_string();
            assert!(error.contains(words) && error.contains("--record"), "{error}");
            assert!(!error.contains("Or nothing of ours"), "{error}");
        }
    }

    #[test]
    fn another_compiler_is_named_whether_the_counts_differ_or_not() {
        let recorded = record(10_000.0, 20_000.0);
        let mut now = record(10_000.0, 20_000.0);
        now.setting.compiler = "rustc 1.99.0".to_owned();
        let report = recorded.compare(&now).expect("the same counts");
        assert!(report.contains("the compiler is rustc 1.99.0"), "{report}");
        now.counts.work = 30_000.0;
        let error = recorded.compare(&now).expect_err("half as much again").to_string();
        assert!(
            error.contains("the compiler is rustc 1.99.0") && error.contains("Or nothing of ours"),
            "{error}"
        );
    }

    #[test]
    fn the_count_is_found_in_callgrinds_words() {
        let words = "==7== Events    : Ir\n==7== Collected : 1234567\n==7==\n==7== I   refs:      1,234,567\n";
        assert_eq!(collected(words), Some(1_234_567));
        assert_eq!(collected("==7== I refs: 12"), None);
    }
}
