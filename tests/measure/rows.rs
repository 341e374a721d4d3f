//! What is measured, and what each is compared with.

use std::fmt;

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) options: Vec<&'static str>,
    /// Jobs on a quorum queue and on a classic one: some seconds' worth of each.
    pub(crate) jobs: [u64; 2],
    /// The row it is compared with.
    pub(crate) base: Option<&'static str>,
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
/// Ten seconds of 500 a second.
const STEADY: [u64; 2] = [5_000, 5_000];

pub(crate) fn all() -> Vec<Row> {
    let callers = |count| ["--callers", count];
    vec![
        Row::new("enqueue-limit", LIMIT, "enqueue"),
        Row::new("enqueue-lapin", LAPIN, "enqueue").against("enqueue-limit"),
        Row::new("enqueue", LEVERET, "enqueue").against("enqueue-limit"),
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
        Row::new("work-limit", LIMIT, "work"),
        Row::new("work-lapin", LAPIN, "work").against("work-limit"),
        Row::new("work", LEVERET, "work").against("work-limit"),
        Row::new("work-200", LEVERET, "work")
            .told(["--prefetch", "200", "--concurrency", "200"])
            .against("work-limit"),
        Row::new("latency-lapin", LAPIN, "latency").told(["--rate", "500"]),
        Row::new("latency", LEVERET, "latency")
            .told(["--rate", "500"])
            .against("latency-lapin"),
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
            mode,
            options: Vec::new(),
            jobs,
            base: None,
        }
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
}
