//! What a run is told on its command line.

use std::ffi::OsString;

use lexopt::prelude::*;

/// How the programs are called.
const USAGE: &str = "--url URL --mode enqueue|work|latency|retry|hop|idle|start|remove --n N --queue NAME --qtype classic|quorum \
                         [--queues Q] [--rate JOBS_PER_S] [--callers C] [--ahead N] [--spend US] [--payload BYTES] [--prefetch P] [--concurrency C] \
                         [--workers W] [--slow MS] [--takes MS] [--since NS]";

/// So many queues one run may have: each has a job type of its own.
pub const MAX_QUEUES: usize = 50;

/// So many publishes are under way, for each of the programs: one window, or the comparison would be of windows.
pub const WINDOW: usize = 1_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From the first call until all is confirmed.
    Enqueue,
    /// From the first job handled to the last.
    Work,
    /// From the call of a publish to the start of its handler.
    Latency,
    /// As [`Mode::Work`], of jobs that fail once, wait as short as can be, and then succeed.
    Retry,
    /// What the broker does by itself: messages that expire in one queue, from the first that arrives in the next to the last.
    Hop,
    /// A worker that waits for [`Arguments::n`] seconds on queues that are empty.
    Idle,
    /// From the start of the process to the first job handled.
    Start,
    /// Nothing: takes the queues away.
    Remove,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// Where the broker is.
    pub url: String,
    /// What is measured.
    pub mode: Mode,
    /// How many jobs. Of [`Mode::Enqueue`] none is enough to declare the queue.
    pub n: u64,
    /// Where they are.
    pub place: Place,
    /// How they are sent.
    pub sending: Sending,
    /// How they are worked.
    pub working: Working,
    /// When the process was started, in nanoseconds since 1970, by the clock of whoever did it. Of [`Mode::Start`].
    pub since: Option<u64>,
    /// So much CPU is to be spent on each job beside what it takes, in µs; only of the limit.
    pub spend: u64,
}

/// Where the jobs are.
#[derive(Debug, Clone)]
pub struct Place {
    /// The queue's name.
    pub queue: String,
    /// A classic queue instead of a quorum queue.
    pub classic: bool,
    /// More than one: the jobs lie evenly in so many queues, named after this one.
    pub queues: usize,
}

impl Place {
    /// The names of the queues.
    pub fn names(&self) -> Vec<String> {
        match self.queues {
            1 => vec![self.queue.clone()],
            queues => (0..queues).map(|at| format!("{}-{at}", self.queue)).collect(),
        }
    }
}

/// How jobs are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sending {
    /// Jobs per second, of [`Mode::Latency`].
    pub rate: f64,
    /// So many tasks enqueue, each awaits its own confirms; `None`: one task awaits none of them before it goes on.
    pub callers: Option<u64>,
    /// So many jobs at most may be unawaited where one task enqueues.
    pub ahead: usize,
    /// About so many bytes each; `None`: 150.
    pub payload: Option<usize>,
}

/// How jobs are worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Working {
    /// Jobs held by the consumer; `None`: what the program does by itself.
    pub prefetch: Option<u16>,
    /// Jobs that run at once; `None`: what the program does by itself.
    pub concurrency: Option<usize>,
    /// So many workers share the queue, each with connections of its own.
    pub workers: usize,
    /// How long the first job takes, in ms. Only the others are measured.
    pub slow: Option<u64>,
    /// How long each job takes, in ms; `None`: no time.
    pub takes: Option<u64>,
}

impl Arguments {
    /// Reads those of this process.
    ///
    /// # Errors
    ///
    /// If one is missing, unknown or no such value; with how the programs are called.
    pub fn read() -> Result<Self, String> {
        Self::from(lexopt::Parser::from_env()).map_err(|error| format!("{error}\n{USAGE}"))
    }

    fn from(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut draft = Draft::default();
        while let Some(argument) = parser.next()? {
            let Long(name) = argument else {
                return Err(argument.unexpected());
            };
            let name = name.to_owned();
            let value = parser.value()?;
            if !(draft.take_required(&name, &value)? || draft.take_optional(&name, &value)?) {
                return Err(Long(&name).unexpected());
            }
        }
        draft.finish()
    }
}

/// What was read so far.
#[derive(Debug)]
struct Draft {
    url: Option<String>,
    mode: Option<Mode>,
    n: Option<u64>,
    /// The queue's name, and whether it is a classic one.
    queue: (Option<String>, Option<bool>),
    queues: usize,
    since: Option<u64>,
    spend: u64,
    how: (Sending, Working),
}

impl Default for Draft {
    fn default() -> Self {
        let sending = Sending {
            rate: 500.0,
            callers: None,
            ahead: WINDOW,
            payload: None,
        };
        let working = Working {
            prefetch: None,
            concurrency: None,
            workers: 1,
            slow: None,
            takes: None,
        };
        Self {
            url: None,
            mode: None,
            n: None,
            queue: (None, None),
            queues: 1,
            since: None,
            spend: 0,
            how: (sending, working),
        }
    }
}

impl Draft {
    /// `false`: this is none of them.
    fn take_required(&mut self, name: &str, value: &OsString) -> Result<bool, lexopt::Error> {
        match name {
            "url" => self.url = Some(value.clone().string()?),
            "mode" => self.mode = Some(value.parse_with(read_mode)?),
            "n" => self.n = Some(value.parse()?),
            "queue" => self.queue.0 = Some(value.clone().string()?),
            "qtype" => self.queue.1 = Some(value.parse_with(read_type)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `false`: this is none of them.
    fn take_optional(&mut self, name: &str, value: &OsString) -> Result<bool, lexopt::Error> {
        let (sending, working) = &mut self.how;
        match name {
            "queues" => self.queues = value.parse()?,
            "since" => self.since = Some(value.parse()?),
            "spend" => self.spend = value.parse()?,
            "rate" => sending.rate = value.parse()?,
            "callers" => sending.callers = Some(value.parse()?),
            "ahead" => sending.ahead = value.parse::<usize>()?.max(1),
            "payload" => sending.payload = Some(value.parse()?),
            "prefetch" => working.prefetch = Some(value.parse()?),
            "concurrency" => working.concurrency = Some(value.parse()?),
            "workers" => working.workers = value.parse()?,
            "slow" => working.slow = Some(value.parse()?),
            "takes" => working.takes = Some(value.parse()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn finish(self) -> Result<Arguments, lexopt::Error> {
        let missing = |option: &str| lexopt::Error::Custom(format!("{option} is missing").into());
        let arguments = Arguments {
            url: self.url.ok_or_else(|| missing("--url"))?,
            mode: self.mode.ok_or_else(|| missing("--mode"))?,
            n: self.n.ok_or_else(|| missing("--n"))?,
            place: Place {
                queue: self.queue.0.ok_or_else(|| missing("--queue"))?,
                classic: self.queue.1.ok_or_else(|| missing("--qtype"))?,
                queues: self.queues,
            },
            sending: self.how.0,
            working: self.how.1,
            since: self.since,
            spend: self.spend,
        };
        arguments.problem().map_or(Ok(arguments), |problem| Err(problem.into()))
    }
}

impl Arguments {
    /// What cannot be measured.
    fn problem(&self) -> Option<&'static str> {
        let declares_only = matches!(self.mode, Mode::Enqueue | Mode::Remove);
        if self.sending.rate.is_nan() || self.sending.rate <= 0.0 {
            Some("--rate is above 0")
        } else if self.n == 0 && !declares_only {
            Some("--n 0 is for --mode enqueue, where it only declares the queue; the others wait for their last job")
        } else if !(1..=MAX_QUEUES).contains(&self.place.queues) {
            Some("--queues is 1 to 50")
        } else if self.working.workers == 0 {
            Some("--workers is 1 or more")
        } else if self.working.slow.is_some() && self.n == 1 {
            Some("--slow measures the other jobs: --n is 2 or more")
        } else if self.mode == Mode::Start && self.since.is_none() {
            Some("--mode start needs --since, when the process was started")
        } else {
            None
        }
    }
}

fn read_mode(word: &str) -> Result<Mode, &'static str> {
    match word {
        "enqueue" => Ok(Mode::Enqueue),
        "work" => Ok(Mode::Work),
        "latency" => Ok(Mode::Latency),
        "retry" => Ok(Mode::Retry),
        "hop" => Ok(Mode::Hop),
        "idle" => Ok(Mode::Idle),
        "start" => Ok(Mode::Start),
        "remove" => Ok(Mode::Remove),
        _ => Err("a mode is enqueue, work, latency, retry, hop, idle, start or remove"),
    }
}

fn read_type(word: &str) -> Result<bool, &'static str> {
    match word {
        "classic" => Ok(true),
        "quorum" => Ok(false),
        _ => Err("a type is classic or quorum"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, lexopt::Error> {
        Arguments::from(lexopt::Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_of_comparisons_is_understood() {
        let line =
            "--url amqp://localhost --mode enqueue --n 1000 --queue mail --qtype classic --rate 500 --callers 100";
        let arguments = read(line).expect("the contract");
        assert_eq!(
            (arguments.mode, arguments.n, arguments.place.classic),
            (Mode::Enqueue, 1000, true)
        );
        assert_eq!(
            (arguments.place.names(), arguments.sending.callers),
            (vec!["mail".to_owned()], Some(100))
        );
        assert!((arguments.sending.rate - 500.0).abs() < f64::EPSILON);
    }

    #[test]
    fn several_queues_are_numbered() {
        let line = "--url amqp://localhost --mode work --n 9 --queue mail --qtype quorum --queues 3 --workers 2";
        let arguments = read(line).expect("valid");
        assert_eq!(arguments.place.names(), ["mail-0", "mail-1", "mail-2"]);
        assert_eq!(arguments.working.workers, 2);
    }

    #[test]
    fn a_window_is_that_of_the_other_programs_unless_it_is_told() {
        let line = "--url amqp://localhost --mode enqueue --n 9 --queue mail --qtype quorum";
        let told = read(&format!("{line} --ahead 20000 --spend 6")).expect("valid");
        assert_eq!((told.sending.ahead, told.spend), (20_000, 6));
        let untold = read(line).expect("valid");
        assert_eq!((untold.sending.ahead, untold.spend), (WINDOW, 0));
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let rest = "--url amqp://localhost --queue mail --qtype quorum";
        for bad in [
            "--mode work --n 0",
            "--mode latency --n 0",
            "--mode fast --n 1",
            "--mode work",
            "--mode work --n 1 --rate 0",
            "--mode work --n 1 --queues 51",
            "--mode work --n 1 --queues 0",
            "--mode work --n 1 --workers 0",
            "--mode work --n 1 --slow 10",
            "--mode start --n 1",
            "--mode work --n 1 --speed 9",
            "--mode work --n 1 surplus",
        ] {
            assert!(read(&format!("{rest} {bad}")).is_err(), "{bad}");
        }
        assert!(read(&format!("{rest} --mode enqueue --n 0")).is_ok());
    }
}
