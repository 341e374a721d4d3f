//! What came of the runs: medians, how far they lie apart, and ratios.

use std::fmt::Write as _;

use leveret::ConnectOptions;

use crate::rows::{Kind, QueueType, Row};
use crate::run::Sample;

/// What a process may have beyond the limit of its ledger, in MB.
const BEYOND_LEDGER: f64 = 30.0;

/// The samples of each row, in the order of the rows.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<(Row, Vec<Sample>)>);

impl Results {
    pub(crate) fn add(&mut self, row: &Row, new: Vec<Sample>) {
        match self.0.iter_mut().find(|(known, _)| known.name == row.name) {
            Some((_, samples)) => samples.extend(new),
            None => self.0.push((row.clone(), new)),
        }
    }

    /// What a run of its own has counted.
    pub(crate) fn add_allocations(&mut self, row: &Row, per_job: Option<f64>) {
        let known = self.0.iter_mut().find(|(known, _)| known.name == row.name);
        if let Some(sample) = known.and_then(|(_, samples)| samples.first_mut()) {
            sample.allocations_per_job = per_job;
        }
    }

    /// In Markdown, without the tables that would be empty.
    pub(crate) fn tables(&self, queue_type: QueueType) -> String {
        let rows = |kinds: &[Kind]| self.0.iter().filter(|(row, _)| kinds.contains(&row.kind)).collect();
        [
            self.rates(queue_type, rows(&[Kind::Rate, Kind::Stalled])),
            self.latencies(queue_type, rows(&[Kind::Latency])),
            self.stalls(rows(&[Kind::Stalled])),
            self.starts(rows(&[Kind::Start])),
            Self::idle(rows(&[Kind::Idle])),
        ]
        .concat()
    }

    fn rates(&self, queue_type: QueueType, rows: Vec<&(Row, Vec<Sample>)>) -> String {
        let first = format!("{queue_type} queue");
        let titles = [
            &first,
            "jobs/s (lowest-highest)",
            "ratio",
            "client CPU, µs per job",
            "broker CPU, µs per job",
            "peak memory, MB",
            "context switches per job",
            "allocations per job",
        ];
        table(&titles, rows, |row, samples| {
            let middle = |of: fn(&Sample) -> f64| median(samples, of);
            let broker = middle(|sample| sample.broker_per_job);
            let allocations = samples.iter().find_map(|sample| sample.allocations_per_job);
            vec![
                spread(samples, 0, |sample| sample.rate),
                self.ratio(row, samples, |sample| sample.rate),
                format!("{:.1}", middle(|sample| sample.cpu_per_10k * 100.0)),
                or_none((row.kind == Kind::Rate).then(|| format!("{broker:.1}"))),
                format!("{:.0}", middle(|sample| sample.rss_mb)),
                format!("{:.2}", middle(|sample| sample.switches_per_job)),
                or_none(allocations.map(|per_job| format!("{per_job:.1}"))),
            ]
        })
    }

    fn latencies(&self, queue_type: QueueType, rows: Vec<&(Row, Vec<Sample>)>) -> String {
        let first = format!("{queue_type} queue");
        let titles = [&first, "p50, ms", "ratio", "p99, ms", "ratio", "peak memory, MB"];
        table(&titles, rows, |row, samples| {
            vec![
                format!("{:.2}", median(samples, |sample| sample.p50_ms)),
                self.ratio(row, samples, |sample| sample.p50_ms),
                format!("{:.2}", median(samples, |sample| sample.p99_ms)),
                self.ratio(row, samples, |sample| sample.p99_ms),
                format!("{:.0}", median(samples, |sample| sample.rss_mb)),
            ]
        })
    }

    fn stalls(&self, rows: Vec<&(Row, Vec<Sample>)>) -> String {
        let bound = ledger_limit_mb() + BEYOND_LEDGER;
        let against = format!("of {bound:.0} MB: the ledger's limit and {BEYOND_LEDGER:.0} MB");
        let titles = [
            "broker frozen for 10 s",
            "confirmed",
            "all in, s",
            "peak memory, MB (lowest-highest)",
            &against,
        ];
        table(&titles, rows, |_, samples| {
            let peak = median(samples, |sample| sample.rss_mb);
            vec![
                format!("{:.0}", median(samples, |sample| sample.n as f64)),
                format!("{:.1}", median(samples, |sample| sample.secs)),
                spread(samples, 1, |sample| sample.rss_mb),
                format!("{:.2}", peak / bound),
            ]
        })
    }

    fn starts(&self, rows: Vec<&(Row, Vec<Sample>)>) -> String {
        let titles = [
            "process start to first job",
            "processes",
            "ms (lowest-highest)",
            "more than plain lapin, ms",
        ];
        table(&titles, rows, |row, samples| {
            let ms = median(samples, |sample| sample.ms);
            let base = self.base(row).map(|base| median(base, |sample| sample.ms));
            vec![
                samples.len().to_string(),
                spread(samples, 1, |sample| sample.ms),
                or_none(base.map(|base| format!("{:.1}", ms - base))),
            ]
        })
    }

    fn idle(rows: Vec<&(Row, Vec<Sample>)>) -> String {
        let titles = [
            "20 empty queues",
            "% of a core (lowest-highest)",
            "context switches per s",
            "peak memory, MB",
        ];
        table(&titles, rows, |_, samples| {
            vec![
                spread(samples, 3, |sample| sample.cpu_share * 100.0),
                format!("{:.1}", median(samples, |sample| sample.switches_per_sec)),
                format!("{:.0}", median(samples, |sample| sample.rss_mb)),
            ]
        })
    }

    fn base(&self, row: &Row) -> Option<&[Sample]> {
        let (_, samples) = self.0.iter().find(|(other, _)| Some(other.name) == row.base)?;
        Some(samples)
    }

    /// The median of the ratios, round by round: what a machine that slows down does to both is left out.
    fn ratio(&self, row: &Row, samples: &[Sample], of: fn(&Sample) -> f64) -> String {
        let ratio = self.base(row).map(|bases| {
            let both = samples.iter().zip(bases);
            middle_of(both.map(|(one, base)| of(one) / of(base)).collect())
        });
        or_none(ratio.map(|ratio| format!("{ratio:.2} × {}", row.base.unwrap_or_default())))
    }
}

/// In Markdown, each row after its name; nothing if there are none.
fn table(titles: &[&str], rows: Vec<&(Row, Vec<Sample>)>, cells: impl Fn(&Row, &[Sample]) -> Vec<String>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("\n| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for (row, samples) in rows {
        let cells = cells(row, samples).join(" | ");
        writeln!(text, "| {} | {cells} |", row.name).expect("a string takes everything");
    }
    text
}

fn or_none(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "-".to_owned())
}

/// What a ledger holds unless it is told otherwise.
fn ledger_limit_mb() -> f64 {
    let options: ConnectOptions = "amqp://localhost".parse().expect("a URL");
    options.ledger_limits().bytes as f64 / 1e6
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    middle_of(samples.iter().map(of).collect())
}

fn middle_of(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median, and the lowest and the highest, with so many places.
fn spread(samples: &[Sample], places: usize, of: impl Fn(&Sample) -> f64 + Copy) -> String {
    let ([low, high], middle) = (ends(samples, of), median(samples, of));
    format!("{middle:.places$} ({low:.places$}-{high:.places$})")
}

fn ends(samples: &[Sample], of: impl Fn(&Sample) -> f64 + Copy) -> [f64; 2] {
    let all = samples.iter().map(of);
    [all.clone().fold(f64::INFINITY, f64::min), all.fold(0.0, f64::max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    fn row(name: &str) -> Row {
        let mut all = rows::all().into_iter();
        all.find(|row| row.name == name).expect("a row")
    }

    fn rates(rates: &[f64]) -> Vec<Sample> {
        let sample = |rate: &f64| Sample {
            rate: *rate,
            ..Sample::default()
        };
        rates.iter().map(sample).collect()
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_own_ratios() {
        // Given a machine that was ten times as slow in the second round
        let mut results = Results::default();
        results.add(&row("work-limit"), rates(&[100.0, 10.0, 100.0]));
        results.add(&row("work"), rates(&[80.0, 8.0]));
        results.add(&row("work"), rates(&[70.0]));
        results.add_allocations(&row("work"), Some(4.0));
        // When it is told
        let text = results.tables(QueueType::Quorum);
        // Then that round says what the others do
        let line = text.lines().find(|line| line.starts_with("| work |")).expect("a line");
        assert!(line.starts_with("| work | 70 (8-80) | 0.80 × work-limit |"), "{line}");
        assert!(line.ends_with("| 4.0 |"), "{line}");
    }

    #[test]
    fn tables_with_nothing_in_them_are_left_out() {
        let mut results = Results::default();
        assert_eq!(results.tables(QueueType::Quorum), "");
        results.add(&row("idle"), rates(&[0.0]));
        let text = results.tables(QueueType::Quorum);
        assert_eq!(text.matches("---|\n").count(), 1, "{text}");
        assert!(text.contains("| idle | 0.000"), "{text}");
    }

    #[test]
    fn a_start_is_compared_by_what_it_takes_longer() {
        let mut results = Results::default();
        let start = |ms| {
            vec![Sample {
                ms,
                ..Sample::default()
            }]
        };
        results.add(&row("start-lapin"), start(10.0));
        results.add(&row("start"), start(32.5));
        let text = results.tables(QueueType::Quorum);
        assert!(text.contains("| start | 1 | 32.5 (32.5-32.5) | 22.5 |"), "{text}");
    }

    #[test]
    fn memory_in_a_stall_is_held_against_the_ledgers_limit() {
        let mut results = Results::default();
        let peak = ledger_limit_mb() + BEYOND_LEDGER;
        let sample = Sample {
            rss_mb: peak,
            ..Sample::default()
        };
        results.add(&row("stalled"), vec![sample]);
        let text = results.tables(QueueType::Quorum);
        assert!(text.trim_end().ends_with("| 1.00 |"), "{text}");
    }
}
