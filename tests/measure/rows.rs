//! What is measured, and what each is compared with.

use std::fmt;

/// One line of a table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: &'static str,
    pub(crate) kind: Kind,
    pub(crate) mode: &'static str,
    pub(crate) options: Vec<&'static str>,
    /// Jobs on a quorum queue and on a classic one: some seconds' worth of each. None: not measured there.
    pub(crate) jobs: [u64; 2],
    /// The row it is compared with.
    pub(crate) base: Option<&'static str>,
}

/// How a row is run, and in which table it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Jobs per second; the broker is alone with it.
    Rate,
    /// Jobs per second, and the broker is frozen for a while in the midst of it.
    Stalled,
    /// How long each job is on its way.
    Latency,
    /// How long a process takes to its first job.
    Start,
    /// What waiting costs.
    Idle,
}

/// Where the jobs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueType {
    Quorum,
    Classic,
}

impl QueueType {
    /// For [`Row::jobs`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Quorum => 0,
            Self::Classic => 1,
        }
    }
}

impl fmt::Display for QueueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        })
    }
}

const LIMIT: &str = "bench-limit";
const LAPIN: &str = "bench-lapin";
const LEVERET: &str = "leveret-bench";

const MANY: [u64; 2] = [200_000, 80_000];
const WORKED: [u64; 2] = [300_000, 150_000];
const ONE_BY_ONE: [u64; 2] = [5_000, 5_000];
/// More than the ledger has room for by default, so that it is the ledger which holds back.
const AHEAD: [&str; 2] = ["--ahead", "20000"];
/// Ten seconds of 500 a second.
const STEADY: [u64; 2] = [5_000, 5_000];
/// One of them is slow.
const SLOW: [u64; 2] = [100_000, 100_000];
/// The ladder's levels are quorum queues whatever the jobs' own queue is.
const RETRIED: [u64; 2] = [40_000, 0];
const STALLED: [u64; 2] = [1_000_000, 0];
/// Processes.
const STARTS: [u64; 2] = [11, 0];
/// Seconds.
const IDLE: [u64; 2] = [20, 0];

pub(crate) fn all() -> Vec<Row> {
    [enqueuing(), working(), waiting()].concat()
}

fn enqueuing() -> Vec<Row> {
    let callers = |count| ["--callers", count];
    vec![
        Row::new("enqueue-limit", LIMIT, "enqueue"),
        Row::new("enqueue-limit-6us", LIMIT, "enqueue")
            .told(["--spend", "6"])
            .against("enqueue-limit"),
        Row::new("enqueue-lapin", LAPIN, "enqueue").against("enqueue-limit"),
        Row::new("enqueue", LEVERET, "enqueue").against("enqueue-limit"),
        Row::new("enqueue-ahead", LEVERET, "enqueue")
            .told(AHEAD)
            .against("enqueue-limit"),
        Row::new("callers-100-lapin", LAPIN, "enqueue")
            .told(callers("100"))
            .against("enqueue-limit"),
        Row::new("callers-100", LEVERET, "enqueue")
            .told(callers("100"))
            .against("enqueue-limit"),
        Row::new("callers-1-lapin", LAPIN, "enqueue")
            .told(callers("1"))
            .of(ONE_BY_ONE),
        Row::new("callers-1", LEVERET, "enqueue")
            .told(callers("1"))
            .of(ONE_BY_ONE)
            .against("callers-1-lapin"),
    ]
}

fn working() -> Vec<Row> {
    vec![
        Row::new("work-limit", LIMIT, "work"),
        Row::new("work-limit-8us", LIMIT, "work")
            .told(["--spend", "8"])
            .against("work-limit"),
        Row::new("work-lapin", LAPIN, "work").against("work-limit"),
        Row::new("work", LEVERET, "work").against("work-limit"),
        Row::new("work-200", LEVERET, "work")
            .told(["--prefetch", "200", "--concurrency", "200"])
            .against("work-limit"),
        Row::new("work-even", LEVERET, "work").of(SLOW),
        Row::new("work-slow", LEVERET, "work")
            .told(["--slow", "10000"])
            .of(SLOW)
            .against("work-even"),
        Row::new("hop", LAPIN, "hop").of(RETRIED),
        Row::new("retry", LEVERET, "retry").of(RETRIED).against("hop"),
    ]
}

fn waiting() -> Vec<Row> {
    vec![
        Row::new("latency-lapin", LAPIN, "latency")
            .told(["--rate", "500"])
            .like(Kind::Latency),
        Row::new("latency", LEVERET, "latency")
            .told(["--rate", "500"])
            .like(Kind::Latency)
            .against("latency-lapin"),
        Row::new("start-lapin", LAPIN, "start").of(STARTS).like(Kind::Start),
        Row::new("start", LEVERET, "start")
            .of(STARTS)
            .like(Kind::Start)
            .against("start-lapin"),
        Row::new("idle", LEVERET, "idle")
            .told(["--queues", "20"])
            .of(IDLE)
            .like(Kind::Idle),
        // The last: the broker is busy for a while with what it had to keep.
        Row::new("stalled", LEVERET, "enqueue")
            .told(AHEAD)
            .of(STALLED)
            .like(Kind::Stalled),
    ]
}

impl Row {
    fn new(name: &'static str, program: &'static str, mode: &'static str) -> Self {
        let jobs = match mode {
            "enqueue" => MANY,
            "work" => WORKED,
            _ => STEADY,
        };
        Self {
            name,
            program,
            kind: Kind::Rate,
            mode,
            options: Vec::new(),
            jobs,
            base: None,
        }
    }

    const fn like(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    fn told<const N: usize>(mut self, options: [&'static str; N]) -> Self {
        self.options.extend(options);
        self
    }

    const fn of(mut self, jobs: [u64; 2]) -> Self {
        self.jobs = jobs;
        self
    }

    const fn against(mut self, base: &'static str) -> Self {
        self.base = Some(base);
        self
    }

    /// Whether it is measured on such a queue.
    pub(crate) const fn is_on(&self, queue_type: QueueType) -> bool {
        self.jobs[queue_type.index()] > 0
    }

    /// Whether its queue is to be filled before.
    pub(crate) fn is_on_a_filled_queue(&self) -> bool {
        matches!(self.mode, "work" | "retry")
    }

    /// How many of them a run has that takes such a share of the time.
    pub(crate) fn jobs(&self, queue_type: QueueType, share: f64) -> u64 {
        let all = self.jobs[queue_type.index()];
        let least = match self.kind {
            // Seconds and processes: some of each say something already.
            Kind::Idle | Kind::Start => 3,
            _ => 100,
        };
        ((all as f64 * share) as u64).max(least).min(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_name_of_its_own_and_comes_after_what_it_is_compared_with() {
        let rows = all();
        for (at, row) in rows.iter().enumerate() {
            let before: Vec<&str> = rows[..at].iter().map(|row| row.name).collect();
            assert!(!before.contains(&row.name), "{} twice", row.name);
            assert!(row.base.is_none_or(|base| before.contains(&base)), "{}", row.name);
        }
    }

    #[test]
    fn a_row_is_measured_wherever_its_base_is() {
        let rows = all();
        for row in &rows {
            let base = rows.iter().find(|other| Some(other.name) == row.base);
            for queue_type in [QueueType::Quorum, QueueType::Classic] {
                let has_base = base.is_none_or(|base| base.is_on(queue_type));
                assert!(!row.is_on(queue_type) || has_base, "{} on {queue_type}", row.name);
            }
        }
    }

    #[test]
    fn a_share_of_the_jobs_is_never_none_and_never_more_than_all() {
        for row in all() {
            let [few, all] = [0.000_001, 1.0].map(|share| row.jobs(QueueType::Quorum, share));
            assert!(few > 0 && few <= all, "{}", row.name);
            assert_eq!(all, row.jobs[0], "{}", row.name);
        }
    }
}
