//! The one line of JSON that a run prints.

use serde_json::{Map, Value, json};

use crate::usage::{Spent, peak_memory_mb};

/// What came of `n` jobs in a stretch of time.
pub fn print_throughput(n: u64, spent: Spent, confirmed: bool) {
    let (jobs, secs) = (jobs(n), spent.wall.as_secs_f64());
    let rate = if n == 0 { 0.0 } else { jobs / secs };
    let per_job = |cost: f64| if n == 0 { 0.0 } else { cost / jobs };
    let mut line = Map::new();
    line.insert("n".into(), json!(n));
    line.insert("secs".into(), json!(secs));
    line.insert("rate".into(), json!(rate));
    if confirmed {
        line.insert("confirmed".into(), json!(true));
    }
    line.insert("cpu_per_10k".into(), json!(per_job(spent.cpu) * 1e4));
    line.insert("rss_mb".into(), json!(peak_memory_mb()));
    #[allow(clippy::cast_precision_loss)]
    let switches = spent.switches as f64;
    line.insert("switches_per_job".into(), json!(per_job(switches)));
    if cfg!(feature = "allocations") {
        #[allow(clippy::cast_precision_loss)]
        let allocations = spent.allocations as f64;
        line.insert("allocations_per_job".into(), json!(per_job(allocations)));
    }
    println!("{}", Value::Object(line));
}

/// How long each job was on its way, in milliseconds.
pub fn print_latency(mut ages: Vec<f64>) {
    ages.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let rank = (share * ages.len() as f64).ceil() as usize;
        ages.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    };
    let line = json!({
        "n": ages.len(), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0), "rss_mb": peak_memory_mb(),
    });
    println!("{line}");
}

fn jobs(n: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let jobs = n as f64;
    jobs
}
