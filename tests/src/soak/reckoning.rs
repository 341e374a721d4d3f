//! What follows from the files of a soak. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::record::{Produced, Started, Told, Worked};

/// What is known of every job.
#[derive(Debug, Clone, Default)]
pub struct Reckoning {
    produced: Vec<Produced>,
    worked: Vec<Worked>,
    started: Vec<Started>,
    dead: BTreeSet<u64>,
    /// Jobs that were enqueued twice by processes that know nothing of each other.
    twice: BTreeSet<u64>,
}

/// The result. It is printed as one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// How many jobs the broker confirmed.
    pub confirmed: u64,
    /// How many jobs have come to a good end.
    pub done: u64,
    /// How many were confirmed and neither done nor are dead letters.
    pub lost: u64,
    /// How often a job was done that was done already.
    pub duplicates: u64,
    /// How many jobs of unknown fate were done.
    pub unknown_done: u64,
    /// How many are dead letters.
    pub dead: u64,
    /// The longest time between two jobs that were done.
    pub max_gap_ms: u64,
    /// The longest time in which confirmed jobs waited and none was done.
    pub recovery_ms: u64,
    /// How many were refused, by the last word on them.
    pub refused: u64,
    /// How many were refused, by the last word on them, and done all the same.
    pub refused_done: u64,
    /// How many have an unknown fate, by the last word on them.
    pub unknown: u64,
    /// How many duplicates nobody announced: neither the broker as redelivered nor a sender as sent again. Only where it is known how runs started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unexplained: Option<u64>,
    /// How many more nobody announced, and a broker's node that died may explain them: attempts that had waited in the delay ladder, whose hops
    /// are at least once. Only where it is known how runs started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hops: Option<u64>,
}

impl Reckoning {
    /// Adds a producer's lines.
    pub fn add_produced(&mut self, lines: impl IntoIterator<Item = Produced>) {
        self.produced.extend(lines);
    }

    /// Adds a worker's lines.
    pub fn add_worked(&mut self, lines: impl IntoIterator<Item = Worked>) {
        self.worked.extend(lines);
    }

    /// The lines of all workers, in place of those that were added.
    pub fn set_worked(&mut self, lines: Vec<Worked>) {
        self.worked = lines;
    }

    /// Adds a worker's lines about starts.
    pub fn add_started(&mut self, lines: impl IntoIterator<Item = Started>) {
        self.started.extend(lines);
    }

    /// Adds dead letters.
    pub fn add_dead(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.dead.extend(ids);
    }

    /// Adds jobs that were enqueued once more, by a process that could not know whether they had been: their doubles are explained.
    pub fn add_enqueued_twice(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.twice.extend(ids);
    }

    /// The jobs that were confirmed and are neither done nor dead.
    pub fn lost(&self) -> Vec<u64> {
        let done = self.done();
        let ended = |id: &u64| done.contains(id) || self.dead.contains(id);
        self.with(Told::Confirmed).into_iter().filter(|id| !ended(id)).collect()
    }

    /// Whether every job that was confirmed has come to its end.
    pub fn is_settled(&self) -> bool {
        self.lost().is_empty()
    }

    /// What follows.
    pub fn findings(&self) -> Findings {
        let done = self.done();
        let count_done = |ids: &BTreeSet<u64>| ids.intersection(&done).count() as u64;
        let (refused, unknown) = (self.with(Told::Refused), self.with(Told::Unknown));
        let times_done = self.worked.iter().filter(|line| line.done).count();
        let (max_gap_ms, recovery_ms) = self.gaps();
        let unannounced = (!self.started.is_empty()).then(|| self.unannounced());
        Findings {
            confirmed: self.with(Told::Confirmed).len() as u64,
            done: done.len() as u64,
            lost: self.lost().len() as u64,
            duplicates: (times_done - done.len()) as u64,
            unknown_done: count_done(&unknown),
            dead: self.dead.len() as u64,
            max_gap_ms,
            recovery_ms,
            refused: refused.len() as u64,
            refused_done: count_done(&refused),
            unknown: unknown.len() as u64,
            unexplained: unannounced.map(|unannounced| unannounced.first),
            hops: unannounced.map(|unannounced| unannounced.waited),
        }
    }

    fn done(&self) -> BTreeSet<u64> {
        self.worked
            .iter()
            .filter(|line| line.done)
            .map(|line| line.id)
            .collect()
    }

    /// The jobs of which this is the last word. A confirm is never unsaid.
    fn with(&self, told: Told) -> BTreeSet<u64> {
        let mut last: BTreeMap<u64, Told> = BTreeMap::new();
        for line in &self.produced {
            let word = last.entry(line.id).or_insert(line.told);
            if *word != Told::Confirmed {
                *word = line.told;
            }
        }
        let these = last.into_iter().filter(|(_, word)| *word == told);
        these.map(|(id, _)| id).collect()
    }

    /// More starts of the same attempt of the same message, none of which says that it may be a repetition, than there were starts before the
    /// last republish: where a message was delivered twice, each delivery may have had a successor. What was enqueued twice, or by somebody
    /// who was told "unknown", is two messages that know nothing of each other.
    fn unannounced(&self) -> Unannounced {
        let doubted = self.produced.iter().filter(|line| line.told == Told::Unknown);
        let doubted: BTreeSet<u64> = doubted.map(|line| line.id).chain(self.twice.iter().copied()).collect();
        let mut by_job: BTreeMap<u64, Vec<&Started>> = BTreeMap::new();
        for start in self.started.iter().filter(|start| !doubted.contains(&start.id)) {
            by_job.entry(start.id).or_default().push(start);
        }
        by_job
            .values()
            .fold(Unannounced::default(), |sum, starts| sum.and(starts))
    }

    /// The longest time between two jobs that were done, and the longest in which none was while some waited.
    fn gaps(&self) -> (u64, u64) {
        // For each job: when it was confirmed, and when it was first done.
        let mut events: Vec<(u64, i64)> = Vec::new();
        let mut first_done: BTreeMap<u64, u64> = BTreeMap::new();
        for line in self.worked.iter().filter(|line| line.done) {
            let at = first_done.entry(line.id).or_insert(line.at);
            *at = line.at.min(*at);
        }
        for line in self.produced.iter().filter(|line| line.told == Told::Confirmed) {
            // One that was done before its confirm came never waited.
            let done = first_done.get(&line.id);
            if done.is_none_or(|done| *done > line.at) {
                events.push((line.at, 1));
                events.extend(done.map(|done| (*done, -1)));
            }
        }
        events.sort_unstable();
        let mut dones: Vec<u64> = self
            .worked
            .iter()
            .filter(|line| line.done)
            .map(|line| line.at)
            .collect();
        dones.sort_unstable();
        let gap = dones.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        (gap, longest_wait(&events, &dones))
    }
}

/// Repetitions that nobody announced.
#[derive(Debug, Clone, Copy, Default)]
struct Unannounced {
    /// Of first attempts.
    first: u64,
    /// Of those that had waited before.
    waited: u64,
}

impl Unannounced {
    /// With the starts of one job more.
    fn and(mut self, starts: &[&Started]) -> Unannounced {
        let mut by_message: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for start in starts.iter().filter(|start| !start.announced) {
            *by_message.entry((start.hop, start.attempt)).or_default() += 1;
        }
        for ((hop, attempt), count) in by_message {
            let ancestors = starts.iter().filter(|start| start.hop < hop).count() as u64;
            let beyond = count.saturating_sub(ancestors.max(1));
            match attempt {
                1 => self.first += beyond,
                _ => self.waited += beyond,
            }
        }
        self
    }
}

/// `events`: a job more or a job less that waits; `dones`: when one was done. Both in order of time.
fn longest_wait(events: &[(u64, i64)], dones: &[u64]) -> u64 {
    let (mut waiting, mut since, mut longest) = (0, None::<u64>, 0);
    let mut dones = dones.iter().copied().peekable();
    for (at, change) in events {
        while let Some(done) = dones.next_if(|done| done <= at) {
            if let Some(since) = since.as_mut() {
                longest = longest.max(done.saturating_sub(*since));
                *since = done;
            }
        }
        waiting += change;
        since = if waiting > 0 { since.or(Some(*at)) } else { None };
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reckoning(produced: &[(u64, Told, u64)], worked: &[(u64, u32, bool, u64)]) -> Reckoning {
        let mut reckoning = Reckoning::default();
        let line = |&(id, told, at): &_| Produced { id, told, at };
        reckoning.add_produced(produced.iter().map(line));
        let line = |&(id, attempt, done, at): &_| Worked { id, attempt, done, at };
        reckoning.add_worked(worked.iter().map(line));
        reckoning
    }

    #[test]
    fn each_job_is_counted_where_it_belongs() {
        // Given jobs that were done, done twice, lost, dead, refused, of unknown fate and done, and of unknown fate and not
        use Told::{Confirmed, Refused, Unknown};
        let mut reckoning = reckoning(
            &[
                (0, Confirmed, 10),
                (1, Confirmed, 10),
                (2, Confirmed, 10),
                (3, Confirmed, 10),
                (4, Refused, 10),
                (5, Unknown, 10),
                (6, Unknown, 10),
                // Enqueued again after an unknown fate.
                (7, Unknown, 10),
                (7, Confirmed, 20),
            ],
            &[
                (0, 1, false, 11),
                (0, 2, true, 12),
                (1, 1, true, 13),
                (1, 1, true, 14),
                (5, 1, true, 15),
                (7, 1, true, 25),
            ],
        );
        reckoning.add_dead([3]);

        // Then
        assert_eq!(reckoning.lost(), [2]);
        let findings = reckoning.findings();
        let Findings {
            confirmed,
            done,
            lost,
            duplicates,
            unknown_done,
            dead,
            ..
        } = findings;
        assert_eq!(
            (confirmed, done, lost, duplicates, unknown_done, dead),
            (5, 4, 1, 1, 1, 1)
        );
        assert_eq!((findings.refused, findings.refused_done, findings.unknown), (1, 0, 2));
        assert_eq!(findings.unexplained, None, "nobody said how they started");
    }

    #[test]
    fn a_pause_counts_as_recovery_only_while_jobs_wait() {
        // Given two jobs, long apart, and a third that waits while nothing is done
        let confirmed = [(0, 100), (1, 5_000), (2, 6_000)].map(|(id, at)| (id, Told::Confirmed, at));
        let done = [(0, 110), (1, 5_020), (2, 6_900)].map(|(id, at)| (id, 1, true, at));
        let findings = reckoning(&confirmed, &done).findings();
        assert_eq!((findings.max_gap_ms, findings.recovery_ms), (4_910, 900));

        // And one that is done before its producer hears of it waits never
        let findings = reckoning(&[(0, Told::Confirmed, 100)], &[(0, 1, true, 90)]).findings();
        assert_eq!((findings.max_gap_ms, findings.recovery_ms), (0, 0));
    }

    #[test]
    fn only_a_repetition_that_nobody_announced_is_unexplained() {
        let start = |id, attempt, hop, announced| Started {
            id,
            attempt,
            hop,
            announced,
        };
        let mut reckoning = reckoning(&[(3, Told::Unknown, 1)], &[]);
        reckoning.add_enqueued_twice([4]);
        for (starts, expected) in [
            (vec![start(0, 1, 0, false), start(0, 1, 0, true)], (0, 0)),
            (vec![start(0, 1, 0, true), start(0, 1, 0, false)], (0, 0)),
            (vec![start(0, 1, 0, false), start(0, 2, 1, false)], (0, 0)),
            (vec![start(0, 1, 0, false), start(0, 1, 0, false)], (1, 0)),
            // Delivered twice and failed twice: each has a second attempt.
            (
                vec![
                    start(0, 1, 0, false),
                    start(0, 1, 0, true),
                    start(0, 2, 1, false),
                    start(0, 2, 1, false),
                ],
                (0, 0),
            ),
            // A second attempt comes twice: only the broker can have passed it on so.
            (
                vec![start(0, 1, 0, false), start(0, 2, 1, false), start(0, 2, 1, false)],
                (0, 1),
            ),
            (vec![start(3, 1, 0, false), start(3, 1, 0, false)], (0, 0)),
            (vec![start(4, 1, 0, false), start(4, 1, 0, false)], (0, 0)),
        ] {
            let mut reckoning = reckoning.clone();
            reckoning.add_started(starts.clone());
            let found = reckoning.findings();
            let found = (found.unexplained, found.hops);
            assert_eq!(found, (Some(expected.0), Some(expected.1)), "{starts:?}");
        }
    }
}
