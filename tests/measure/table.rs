//! What came of the runs: medians, how far they lie apart, and ratios.

use std::fmt::Write as _;

use crate::rows::{QueueType, Row};
use crate::run::Sample;

/// The samples of each row, in the order of the rows.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<(Row, Vec<Sample>)>);

impl Results {
    pub(crate) fn add(&mut self, row: &Row, sample: Sample) {
        match self.0.iter_mut().find(|(known, _)| known.name == row.name) {
            Some((_, samples)) => samples.push(sample),
            None => self.0.push((row.clone(), vec![sample])),
        }
    }

    /// In Markdown, without the tables that would be empty.
    pub(crate) fn tables(&self, queue_type: QueueType) -> String {
        let has = |is_latency: bool| self.0.iter().any(|(row, _)| (row.mode == "latency") == is_latency);
        let throughputs = has(false).then(|| self.throughputs(queue_type));
        let latencies = has(true).then(|| self.latencies(queue_type));
        throughputs.into_iter().chain(latencies).collect()
    }

    fn throughputs(&self, queue_type: QueueType) -> String {
        let mut text = format!(
            "\n| {queue_type} queue | jobs/s (lowest-highest) | ratio | client CPU, µs per job | broker CPU, µs per job | peak memory, MB | \
             context switches per job |\n|---|---|---|---|---|---|---|\n"
        );
        for (row, samples) in self.0.iter().filter(|(row, _)| row.mode != "latency") {
            let middle = |of: fn(&Sample) -> f64| median(samples, of);
            let [low, high] = ends(samples, |sample| sample.rate);
            writeln!(
                text,
                "| {} | {:.0} ({low:.0}-{high:.0}) | {} | {:.1} | {:.1} | {:.0} | {:.2} |",
                row.name,
                middle(|sample| sample.rate),
                self.ratio(row, samples, |sample| sample.rate),
                middle(|sample| sample.cpu_per_10k * 100.0),
                middle(|sample| sample.broker_per_job),
                middle(|sample| sample.rss_mb),
                middle(|sample| sample.switches_per_job),
            )
            .expect("a string takes everything");
        }
        text
    }

    fn latencies(&self, queue_type: QueueType) -> String {
        let mut text = format!(
            "\n| {queue_type} queue | p50 ms | ratio | p99 ms | ratio | peak memory, MB |\n|---|---|---|---|---|---|\n"
        );
        for (row, samples) in self.0.iter().filter(|(row, _)| row.mode == "latency") {
            writeln!(
                text,
                "| {} | {:.2} | {} | {:.2} | {} | {:.0} |",
                row.name,
                median(samples, |sample| sample.p50_ms),
                self.ratio(row, samples, |sample| sample.p50_ms),
                median(samples, |sample| sample.p99_ms),
                self.ratio(row, samples, |sample| sample.p99_ms),
                median(samples, |sample| sample.rss_mb),
            )
            .expect("a string takes everything");
        }
        text
    }

    /// The median of the ratios, round by round: what a machine that slows down does to both is left out.
    fn ratio(&self, row: &Row, samples: &[Sample], of: fn(&Sample) -> f64) -> String {
        let Some(base) = row.base else { return String::from("-") };
        let Some((_, bases)) = self.0.iter().find(|(other, _)| other.name == base) else {
            return String::from("-");
        };
        let ratios: Vec<f64> = samples
            .iter()
            .zip(bases)
            .map(|(one, base)| of(one) / of(base))
            .collect();
        format!("{:.2} × {base}", middle_of(ratios))
    }
}

fn median(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    middle_of(samples.iter().map(of).collect())
}

fn middle_of(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn ends(samples: &[Sample], of: fn(&Sample) -> f64) -> [f64; 2] {
    let all = samples.iter().map(of);
    [all.clone().fold(f64::INFINITY, f64::min), all.fold(0.0, f64::max)]
}
