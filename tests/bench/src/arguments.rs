//! What a run is told on its command line.

use lexopt::prelude::*;

/// How the programs are called.
const USAGE: &str = "--url URL --mode enqueue|work|latency --n N --queue NAME --qtype classic|quorum [--rate JOBS_PER_S] [--callers C] \
                         [--prefetch P] [--concurrency C] [--slow MS]";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From the first call until all is confirmed.
    Enqueue,
    /// From the first job handled to the last.
    Work,
    /// From the call of a publish to the start of its handler.
    Latency,
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
    /// The queue's name.
    pub queue: String,
    /// A classic queue instead of a quorum queue.
    pub classic: bool,
    /// Jobs per second, of [`Mode::Latency`].
    pub rate: f64,
    /// So many tasks enqueue, each awaits its own confirms; `None`: one task awaits none of them before it goes on.
    pub callers: Option<u64>,
    /// Jobs held by the consumer; `None`: what the program does by itself.
    pub prefetch: Option<u16>,
    /// Jobs that run at once; `None`: what the program does by itself.
    pub concurrency: Option<usize>,
    /// How long the first job takes, in ms; all others take no time.
    pub slow: Option<u64>,
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
        let (mut url, mut mode, mut n, mut queue, mut classic) = (None, None, None, None, None);
        let (mut rate, mut callers, mut prefetch, mut concurrency, mut slow) = (500.0_f64, None, None, None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("url") => url = Some(parser.value()?.string()?),
                Long("mode") => mode = Some(parser.value()?.parse_with(read_mode)?),
                Long("n") => n = Some(parser.value()?.parse()?),
                Long("queue") => queue = Some(parser.value()?.string()?),
                Long("qtype") => classic = Some(parser.value()?.parse_with(read_type)?),
                Long("rate") => rate = parser.value()?.parse()?,
                Long("callers") => callers = Some(parser.value()?.parse()?),
                Long("prefetch") => prefetch = Some(parser.value()?.parse()?),
                Long("concurrency") => concurrency = Some(parser.value()?.parse()?),
                Long("slow") => slow = Some(parser.value()?.parse()?),
                _ => return Err(argument.unexpected()),
            }
        }
        if rate.is_nan() || rate <= 0.0 {
            return Err("--rate is above 0".into());
        }
        if n == Some(0) && mode.is_some_and(|mode| mode != Mode::Enqueue) {
            return Err(
                "--n 0 is for --mode enqueue, where it only declares the queue; the others wait for their last job"
                    .into(),
            );
        }
        let missing = |option: &str| lexopt::Error::Custom(format!("{option} is missing").into());
        Ok(Self {
            url: url.ok_or_else(|| missing("--url"))?,
            mode: mode.ok_or_else(|| missing("--mode"))?,
            n: n.ok_or_else(|| missing("--n"))?,
            queue: queue.ok_or_else(|| missing("--queue"))?,
            classic: classic.ok_or_else(|| missing("--qtype"))?,
            rate,
            callers,
            prefetch,
            concurrency,
            slow,
        })
    }
}

fn read_mode(word: &str) -> Result<Mode, &'static str> {
    match word {
        "enqueue" => Ok(Mode::Enqueue),
        "work" => Ok(Mode::Work),
        "latency" => Ok(Mode::Latency),
        _ => Err("a mode is enqueue, work or latency"),
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
            (arguments.mode, arguments.n, arguments.classic),
            (Mode::Enqueue, 1000, true)
        );
        assert_eq!((arguments.queue.as_str(), arguments.callers), ("mail", Some(100)));
        assert!((arguments.rate - 500.0).abs() < f64::EPSILON);
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
        ] {
            assert!(read(&format!("{rest} {bad}")).is_err(), "{bad}");
        }
        assert!(read(&format!("{rest} --mode enqueue --n 0")).is_ok());
    }
}
