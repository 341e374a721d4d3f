//! The one line of JSON that a run prints.

use serde_json::{Value, json};

use crate::usage::{Spent, peak_memory_mb};

/// What came of `n` confirmed enqueues in a stretch of time.
pub fn enqueued(n: u64, spent: Spent) -> Value {
    let mut line = worked(n, spent);
    line["confirmed"] = json!(true);
    line
}

/// What came of `n` handled jobs in a stretch of time.
pub fn worked(n: u64, spent: Spent) -> Value {
    let (jobs, secs) = (n as f64, spent.wall.as_secs_f64());
    let share = |whole: f64, parts: f64| if n == 0 { 0.0 } else { whole / parts };
    let mut line = json!({
        "n": n,
        "secs": secs,
        "rate": share(jobs, secs),
        "cpu_per_10k": share(spent.cpu, jobs) * 1e4,
        "rss_mb": peak_memory_mb(),
        "switches_per_job": share(spent.switches as f64, jobs),
    });
    if cfg!(feature = "allocations") {
        line["allocations_per_job"] = json!(share(spent.allocations as f64, jobs));
    }
    line
}

/// How long each job was on its way, in milliseconds.
pub fn delayed(mut ages: Vec<f64>) -> Value {
    ages.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let rank = (share * ages.len() as f64).ceil() as usize;
        ages.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    };
    json!({
        "n": ages.len(),
        "p50_ms": at(0.5),
        "p90_ms": at(0.9),
        "p99_ms": at(0.99),
        "max_ms": at(1.0),
        "rss_mb": peak_memory_mb(),
    })
}

/// What it costs to wait for jobs.
pub fn idled(spent: Spent) -> Value {
    let secs = spent.wall.as_secs_f64();
    json!({
        "n": 0,
        "secs": secs,
        "cpu_share": spent.cpu / secs,
        "switches_per_sec": spent.switches as f64 / secs,
        "rss_mb": peak_memory_mb(),
    })
}

/// How long it took from the start of the process to its first job, in milliseconds.
pub fn started(ms: f64) -> Value {
    json!({ "n": 1, "ms": ms, "rss_mb": peak_memory_mb() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SPENT: Spent = Spent {
        wall: Duration::from_secs(2),
        cpu: 0.5,
        switches: 20,
        allocations: 0,
    };

    fn has(line: &Value, fields: &[&str]) {
        for field in fields {
            assert!(line.get(field).is_some(), "no {field:?} in {line}");
        }
    }

    #[test]
    fn each_mode_prints_the_fields_that_comparisons_read() {
        has(
            &enqueued(100, SPENT),
            &["n", "secs", "rate", "confirmed", "cpu_per_10k", "rss_mb"],
        );
        has(&worked(100, SPENT), &["n", "secs", "rate", "cpu_per_10k", "rss_mb"]);
        has(
            &delayed(vec![1.0]),
            &["n", "p50_ms", "p90_ms", "p99_ms", "max_ms", "rss_mb"],
        );
    }

    #[test]
    fn costs_are_told_per_job_and_cpu_per_ten_thousand() {
        let line = enqueued(100, SPENT);
        assert_eq!((&line["secs"], &line["rate"]), (&json!(2.0), &json!(50.0)));
        assert_eq!(
            (&line["cpu_per_10k"], &line["switches_per_job"]),
            (&json!(50.0), &json!(0.2))
        );
        assert_eq!(enqueued(0, SPENT)["rate"], json!(0.0), "a queue that was only declared");
    }

    #[test]
    fn an_idle_process_costs_a_share_of_a_core() {
        let line = idled(SPENT);
        assert_eq!(
            (&line["cpu_share"], &line["switches_per_sec"]),
            (&json!(0.25), &json!(10.0))
        );
        has(&started(12.5), &["n", "ms", "rss_mb"]);
    }

    #[test]
    fn a_percentile_is_the_age_that_so_many_do_not_exceed() {
        let line = delayed((1..=200).rev().map(f64::from).collect());
        let of = |field: &str| line[field].as_f64();
        assert_eq!((of("p50_ms"), of("p90_ms")), (Some(100.0), Some(180.0)));
        assert_eq!((of("p99_ms"), of("max_ms")), (Some(198.0), Some(200.0)));
    }
}
