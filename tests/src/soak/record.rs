//! The files of the soak programs: one line an event, appended at once, so that a killed process has written what it knew.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a producer was told of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// The broker has it.
    Confirmed,
    /// The broker does not have it.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// A producer's line: `<id> confirmed|refused|unknown <unix ms>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// The job.
    pub id: u64,
    /// What became of it.
    pub told: Told,
    /// When that was known.
    pub at: u64,
}

/// A worker's line, one a run: `<id> <attempt> done|failed <unix ms>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worked {
    /// The job.
    pub id: u64,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// Whether it succeeded.
    pub done: bool,
    /// When it ended.
    pub at: u64,
}

/// A worker's other line, one a start, for those who want each duplicate explained: `<id> <attempt> <hop> <mark>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The job.
    pub id: u64,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// Raised by every republish.
    pub hop: u32,
    /// Whether the broker or the producer said that it may be a repetition: `first` or `again`.
    pub announced: bool,
}

/// A line that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine(String);

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no line of a soak", self.0)
    }
}

impl std::error::Error for BadLine {}

impl fmt::Display for Produced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = match self.told {
            Told::Confirmed => "confirmed",
            Told::Refused => "refused",
            Told::Unknown => "unknown",
        };
        write!(f, "{} {told} {}", self.id, self.at)
    }
}

impl fmt::Display for Worked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.done { "done" } else { "failed" };
        write!(f, "{} {} {outcome} {}", self.id, self.attempt, self.at)
    }
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.announced { "again" } else { "first" };
        write!(f, "{} {} {} {mark}", self.id, self.attempt, self.hop)
    }
}

impl FromStr for Produced {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Produced, BadLine> {
        let read = || {
            let [id, told, at] = words(line)?;
            let told = match told {
                "confirmed" => Told::Confirmed,
                "refused" => Told::Refused,
                "unknown" => Told::Unknown,
                _ => return None,
            };
            Some(Produced {
                id: id.parse().ok()?,
                told,
                at: at.parse().ok()?,
            })
        };
        read().ok_or_else(|| BadLine(line.to_owned()))
    }
}

impl FromStr for Worked {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Worked, BadLine> {
        let read = || {
            let [id, attempt, outcome, at] = words(line)?;
            Some(Worked {
                id: id.parse().ok()?,
                attempt: attempt.parse().ok()?,
                done: match outcome {
                    "done" => true,
                    "failed" => false,
                    _ => return None,
                },
                at: at.parse().ok()?,
            })
        };
        read().ok_or_else(|| BadLine(line.to_owned()))
    }
}

impl FromStr for Started {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Started, BadLine> {
        let read = || {
            let [id, attempt, hop, mark] = words(line)?;
            Some(Started {
                id: id.parse().ok()?,
                attempt: attempt.parse().ok()?,
                hop: hop.parse().ok()?,
                announced: match mark {
                    "first" => false,
                    "again" => true,
                    _ => return None,
                },
            })
        };
        read().ok_or_else(|| BadLine(line.to_owned()))
    }
}

fn words<const N: usize>(line: &str) -> Option<[&str; N]> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    words.try_into().ok()
}

/// Milliseconds since 1970, by this machine's clock.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A file to which lines are appended. Each line is one write, so nothing known is lost with the process.
#[derive(Debug)]
pub struct Log(Mutex<File>);

impl Log {
    /// Opens a file to write on at its end. A last line that a killed process did not finish is taken away.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Log> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Log(Mutex::new(file)))
    }

    /// Appends a line.
    ///
    /// # Panics
    ///
    /// If it cannot be written: a soak that cannot count is worth nothing.
    pub fn line(&self, line: impl fmt::Display) {
        let text = format!("{line}\n");
        let mut file = self.0.lock().expect("no panic while it is held, but of this");
        file.write_all(text.as_bytes()).expect("the file can be written");
    }
}

/// Reads the lines of a file, without a last one that is not finished; none where there is no file.
///
/// # Errors
///
/// If it cannot be read, or a line is none of these.
pub fn read<T: FromStr<Err = BadLine>>(path: &Path) -> io::Result<Vec<T>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let whole = text.rfind('\n').map_or("", |last| &text[..last]);
    let lines: Result<Vec<T>, BadLine> = whole.lines().map(str::parse).collect();
    lines.map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {bad}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_written_is_read_as_it_was() {
        let told = [Told::Confirmed, Told::Refused, Told::Unknown];
        for told in told {
            let line = Produced { id: 7, told, at: 1_700 };
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        for flag in [true, false] {
            let worked = Worked {
                id: 7,
                attempt: 2,
                done: flag,
                at: 1_700,
            };
            assert_eq!(worked.to_string().parse(), Ok(worked));
            let started = Started {
                id: 7,
                attempt: 2,
                hop: 3,
                announced: flag,
            };
            assert_eq!(started.to_string().parse(), Ok(started));
        }
    }

    #[test]
    fn what_is_no_line_is_named() {
        for line in ["", "7 confirmed", "7 lost 12", "x confirmed 12", "7 confirmed 12 more"] {
            let error = line.parse::<Produced>().unwrap_err();
            assert!(error.to_string().contains(line), "{error}");
        }
        assert!("7 1 maybe 12".parse::<Worked>().is_err());
        assert!("7 1 0 perhaps".parse::<Started>().is_err());
    }

    #[test]
    fn a_line_that_was_not_finished_is_taken_away() {
        // Given a file that a killed process left
        let path = std::env::temp_dir().join(format!("leveret-soak-{}", std::process::id()));
        std::fs::write(&path, "1 confirmed 10\n2 conf").unwrap();
        assert_eq!(read::<Produced>(&path).unwrap().len(), 1);

        // When it is written on
        let log = Log::open(&path).unwrap();
        log.line("2 refused 20");

        // Then
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "1 confirmed 10\n2 refused 20\n"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(read::<Produced>(&path).unwrap().is_empty());
    }
}
