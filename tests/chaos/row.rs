//! What came of a scenario, judged.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::flow::Outcome;

/// What comes so late has waited for a slow timer of the broker's.
const LATE: Duration = Duration::from_secs(60);
/// A waiter is told at its deadline, which is 30 seconds, and this is what a busy machine may add.
const LONGEST_WAIT: Duration = Duration::from_secs(40);

/// One line of the table.
pub(crate) struct Row {
    name: &'static str,
    counts: Option<Counts>,
    /// What is not as promised.
    faults: Vec<String>,
    notes: Vec<String>,
}

struct Counts {
    outcome: Outcome,
    /// From the end of the cause to the first job confirmed and the first job done.
    recovery: Option<Duration>,
}

/// What a scenario allows beyond the usual.
#[derive(Debug)]
pub(crate) struct Allowed {
    /// What lay in what the fault destroyed.
    pub(crate) destroyed: Destroyed,
    /// Jobs that are refused: because the queue was full, or the user might not.
    pub(crate) refused: bool,
    /// What a caller waits at the most.
    pub(crate) longest_wait: Duration,
    /// Nobody was told of anything: no job may be done twice, and the fate of none may be unknown.
    pub(crate) nothing_shows: bool,
    /// Exactly so many jobs are dead letters; `None`: however many.
    pub(crate) dead: Option<u64>,
    /// No first attempt may be run twice, explained or not.
    pub(crate) once: bool,
    /// Nodes of the broker die, or do not hear of each other: what they were passing on from queue to queue may come twice.
    pub(crate) hops: bool,
    /// The clock by which callers' waits are measured has jumped: they are not judged.
    pub(crate) waits_unknown: bool,
}

/// Jobs that were counted before what they lay in was destroyed.
#[derive(Debug, Default)]
pub(crate) struct Destroyed {
    /// No other may be lost.
    pub(crate) jobs: BTreeSet<u64>,
    /// So many of them workers had in hand: they may finish those, or not.
    pub(crate) in_hand: usize,
}

impl Default for Allowed {
    fn default() -> Allowed {
        Allowed {
            destroyed: Destroyed::default(),
            refused: false,
            longest_wait: LONGEST_WAIT,
            nothing_shows: false,
            dead: None,
            once: false,
            hops: false,
            waits_unknown: false,
        }
    }
}

impl Destroyed {
    /// What is wrong with these losses.
    fn wrong(&self, lost: &[u64]) -> Option<String> {
        let others: Vec<&u64> = lost.iter().filter(|id| !self.jobs.contains(id)).collect();
        if !others.is_empty() {
            let some = &others[..others.len().min(5)];
            return Some(format!(
                "{} lost that were not destroyed, such as {some:?}",
                others.len()
            ));
        }
        let least = self.jobs.len() - self.in_hand.min(self.jobs.len());
        (lost.len() < least).then(|| format!("{least} destroyed, and only {} lost: the count is wrong", lost.len()))
    }
}

impl Row {
    pub(crate) fn head() -> String {
        format!(
            "{:<34} {:>7} {:>7} {:>5} {:>5} {:>6} {:>5} {:>5} {:>9} {:>8} {:>11}  {}",
            "scenario",
            "conf.",
            "done",
            "lost",
            "dupl.",
            "unexp.",
            "dead",
            "unkn.",
            "recovery",
            "wait",
            "MiB p/w",
            "verdict"
        )
    }

    /// A scenario that did not come to its end.
    pub(crate) fn broken(name: &'static str, why: &str) -> Row {
        Row {
            name,
            counts: None,
            faults: vec![why.to_owned()],
            notes: Vec::new(),
        }
    }

    /// Judges an outcome. `within`: how soon after the cause had ended, at `ended`, jobs had to flow.
    pub(crate) fn judge(
        name: &'static str,
        outcome: Outcome,
        allowed: &Allowed,
        ended: Option<u64>,
        within: Duration,
    ) -> Row {
        let recovery = ended.and_then(|ended| recovery(&outcome, ended));
        let found = &outcome.findings;
        let mut faults = Vec::new();
        let mut wrong = |is: bool, what: String| faults.extend(is.then_some(what));
        let unlike = allowed.destroyed.wrong(&outcome.lost);
        wrong(unlike.is_some(), unlike.unwrap_or_default());
        wrong(
            found.unexplained.unwrap_or(0) > 0 || (found.hops.unwrap_or(0) > 0 && !allowed.hops),
            "a duplicate is not explained".to_owned(),
        );
        wrong(
            allowed.nothing_shows && found.duplicates + found.unknown > 0,
            "a fault that nobody had to notice showed".to_owned(),
        );
        wrong(found.refused_done > 0, "a refused job was done".to_owned());
        wrong(
            found.refused > 0 && !allowed.refused,
            format!("{} refused", found.refused),
        );
        wrong(
            u128::from(outcome.longest_wait_ms) > allowed.longest_wait.as_millis() && !allowed.waits_unknown,
            "a caller waited beyond its deadline".to_owned(),
        );
        wrong(
            allowed.dead.is_some_and(|dead| dead != found.dead),
            format!("{} dead letters, {:?} were to be", found.dead, allowed.dead),
        );
        wrong(
            allowed.once && outcome.repeated > 0,
            format!("{} first attempts were run again", outcome.repeated),
        );
        wrong(
            recovery.is_some_and(|took| took > within),
            format!("jobs were to flow within {within:?}"),
        );
        let nothing_left = ended.is_some() && recovery.is_none();
        let note = "nothing was left to do when the cause ended";
        let refused = (found.refused > 0).then(|| format!("{} refused", found.refused));
        let late = last_after(&outcome, ended).filter(|late| *late > LATE);
        let late = late.map(|late| format!("the last job came {} s after the cause had ended", late.as_secs()));
        let hops = found.hops.filter(|hops| *hops > 0);
        let hops = hops.map(|hops| format!("{hops} passed on twice by the broker, from the delay ladder"));
        Row {
            name,
            counts: Some(Counts { outcome, recovery }),
            faults,
            notes: refused
                .into_iter()
                .chain(nothing_left.then(|| note.to_owned()))
                .chain(hops)
                .chain(late)
                .collect(),
        }
    }

    pub(crate) fn with_notes(mut self, notes: Vec<String>, faults: Vec<String>) -> Row {
        self.notes.extend(notes);
        self.faults.extend(faults);
        self
    }

    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }
}

/// How long after the cause had ended the last job was run.
fn last_after(outcome: &Outcome, ended: Option<u64>) -> Option<Duration> {
    let last = outcome.worked.iter().map(|line| line.at).max()?;
    ended.map(|ended| Duration::from_millis(last.saturating_sub(ended)))
}

/// How long after the cause had ended the first job was confirmed, and the first done; the later of both. A producer that was ready by
/// then tells nothing.
fn recovery(outcome: &Outcome, ended: u64) -> Option<Duration> {
    let done = outcome.worked.iter().filter(|line| line.done).map(|line| line.at);
    let done = done.filter(|at| *at >= ended).min()?;
    let confirmed = outcome
        .produced
        .iter()
        .map(|line| line.at)
        .filter(|at| *at >= ended)
        .min();
    Some(Duration::from_millis(done.max(confirmed.unwrap_or(done)) - ended))
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<34}", self.name)?;
        if let Some(Counts { outcome, recovery }) = &self.counts {
            let found = &outcome.findings;
            let recovery = recovery.map_or_else(|| "-".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()));
            write!(
                f,
                " {:>7} {:>7} {:>5} {:>5} {:>6} {:>5} {:>5} {:>9} {:>6} ms {:>5}/{:<5}",
                found.confirmed,
                found.done,
                found.lost,
                found.duplicates,
                found.unexplained.unwrap_or(0),
                found.dead,
                found.unknown,
                recovery,
                outcome.longest_wait_ms,
                outcome.producer_peak / 1024,
                outcome.worker_peak / 1024,
            )?;
        }
        f.write_str(if self.is_good() { "  ok" } else { "  FAILED" })?;
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))?;
        self.faults.iter().try_for_each(|fault| write!(f, "; {fault}"))
    }
}
