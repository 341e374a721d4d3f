//! When most jobs of a queue fail, its worker stops fetching them: [`KillSwitch`]. The state machine behind it is pure: time is an input.

use std::fmt;
use std::time::Duration;

/// Stops a queue while most of its attempts fail, as they do when what its jobs depend on is away: a worker that goes on then turns a queue
/// of good jobs into dead letters. Off unless [`WorkerBuilder::kill_switch`](crate::WorkerBuilder::kill_switch) sets it.
///
/// When at least [`minimum`](Self::minimum) attempts ended within the [`window`](Self::window), and at least
/// [`threshold`](Self::threshold) percent of them failed, the worker stops consuming the queue. What it had fetched and not started goes back; what
/// runs may finish. After the [`pause`](Self::pause) it fetches single jobs, one at a time. The first that fails begins the next pause; after
/// [`probes`](Self::probes) good ones in succession all goes on as before.
///
/// | An attempt that ended so | counts as |
/// |---|---|
/// | done, cancelled | good |
/// | error, panic, timeout | failed, whether a retry or a dead letter follows |
/// | failed, and expired before its next attempt | nothing, because it ends as expired |
/// | rejected, snoozed, expired, interrupted, undecodable, of an unknown type | nothing: it says something of the job, and nothing of the others |
///
/// Each worker has a switch of its own for each queue, and finds out by itself. Its state is in
/// [`WorkerHandle::state`](crate::WorkerHandle::state) ([`Paused`](crate::QueueState::Paused), then
/// [`Probing`](crate::QueueState::Probing)), and each change of it in the log.
///
/// ```
/// use leveret::{Job, Queue};
/// use leveret_worker::{KillSwitch, Worker};
/// # #[derive(serde::Serialize, serde::Deserialize, Job)]
/// # #[job(queue = MAIL, timeout = "30s")]
/// # struct SendWelcome { user_id: u64 }
/// # async fn send_welcome(_: SendWelcome) {}
///
/// const MAIL: Queue = Queue::new("mail");
///
/// let worker = Worker::builder("memory://")
///     .register(send_welcome)
///     .kill_switch(&MAIL, KillSwitch::new())
///     .build()?;
/// # Ok::<(), leveret_worker::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it does nothing until a builder is given it"]
pub struct KillSwitch {
    threshold: u8,
    window: Duration,
    minimum: u32,
    pause: Duration,
    probes: u32,
}

impl Default for KillSwitch {
    fn default() -> Self {
        Self::new()
    }
}

impl KillSwitch {
    /// With the defaults: 80 percent of at least 20 attempts within a minute; a pause of 30 seconds; 3 good probes.
    pub const fn new() -> Self {
        Self {
            threshold: 80,
            window: Duration::from_secs(60),
            minimum: 20,
            pause: Duration::from_secs(30),
            probes: 3,
        }
    }

    /// How many of a hundred attempts have to fail, 1 to 100.
    pub const fn threshold(mut self, percent: u8) -> Self {
        self.threshold = percent;
        self
    }

    /// How far back attempts count. It moves on in tenths.
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many attempts within the window it takes to judge, from 1. It is also about how many jobs an outage costs an attempt, those
    /// that run at the moment not counted.
    pub const fn minimum(mut self, attempts: u32) -> Self {
        self.minimum = attempts;
        self
    }

    /// How long nothing is fetched before single jobs are tried.
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// How many single jobs in succession have to end well, from 1.
    pub const fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    pub(crate) fn wanted_probes(&self) -> u32 {
        self.probes
    }

    /// What is wrong with it, in words.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if !(1..=100).contains(&self.threshold) {
            Some("its threshold is in percent, from 1 to 100")
        } else if self.minimum == 0 || self.probes == 0 {
            Some("its minimum and its probes must be from 1")
        } else if self.window.is_zero() || self.pause.is_zero() {
            Some("its window and its pause must be longer than nothing")
        } else {
            None
        }
    }
}

/// What the end of an attempt says of what jobs depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    Good,
    Bad,
}

/// One queue's switch in one worker.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    rules: KillSwitch,
    state: State,
}

/// How much of a queue is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// As much as there are slots.
    Full,
    /// Nothing until then, on the worker's clock.
    None { until: Duration },
    /// One job at a time; so many have ended well.
    Single { good: u32 },
}

#[derive(Debug, Clone)]
enum State {
    Closed(Tally),
    Open { until: Duration },
    Probing { good: u32 },
}

/// What has changed by an attempt's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// So many of so many attempts had failed: nothing is fetched.
    Tripped { failed: u32, attempts: u32 },
    /// A single job failed: nothing is fetched for another pause.
    ProbeFailed,
    /// Another single job ended well.
    ProbeGood { good: u32 },
    /// All goes on as before.
    Resumed,
}

impl Breaker {
    pub(crate) fn new(rules: KillSwitch) -> Self {
        Self {
            rules,
            state: State::Closed(Tally::default()),
        }
    }

    pub(crate) fn rules(&self) -> &KillSwitch {
        &self.rules
    }

    pub(crate) fn flow(&self) -> Flow {
        match self.state {
            State::Closed(_) => Flow::Full,
            State::Open { until } => Flow::None { until },
            State::Probing { good } => Flow::Single { good },
        }
    }

    /// An attempt has ended. What ends while nothing is fetched began before, and says nothing new.
    pub(crate) fn record(&mut self, now: Duration, evidence: Evidence) -> Option<Change> {
        let rules = self.rules;
        match &mut self.state {
            State::Open { .. } => None,
            State::Probing { good } => match evidence {
                Evidence::Bad => {
                    self.open(now);
                    Some(Change::ProbeFailed)
                }
                Evidence::Good if *good + 1 >= rules.probes => {
                    self.state = State::Closed(Tally::default());
                    Some(Change::Resumed)
                }
                Evidence::Good => {
                    *good += 1;
                    Some(Change::ProbeGood { good: *good })
                }
            },
            State::Closed(tally) => {
                let (failed, attempts) = tally.add(now, rules.window, evidence);
                let enough = attempts >= rules.minimum;
                let too_many = u64::from(failed) * 100 >= u64::from(attempts) * u64::from(rules.threshold);
                (enough && too_many).then(|| {
                    self.open(now);
                    Change::Tripped { failed, attempts }
                })
            }
        }
    }

    fn open(&mut self, now: Duration) {
        let until = now.saturating_add(self.rules.pause);
        self.state = State::Open { until };
    }

    /// Time has passed: whether single jobs are to be tried now.
    pub(crate) fn wake(&mut self, now: Duration) -> bool {
        let over = matches!(self.state, State::Open { until } if until <= now);
        if over {
            self.state = State::Probing { good: 0 };
        }
        over
    }
}

impl fmt::Display for KillSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            threshold,
            window,
            minimum,
            ..
        } = self;
        write!(f, "{threshold}% of at least {minimum} attempts within {window:?}")
    }
}

const PARTS: u32 = 10;

/// The attempts of a window, in tenths of it: what it needs does not grow with the number of attempts.
#[derive(Debug, Clone, Default)]
struct Tally {
    /// The number of the tenth since the start of the clock, and what failed and ended in it.
    parts: [(u64, u32, u32); PARTS as usize],
}

impl Tally {
    /// Counts an attempt; then how many failed in the window, of how many.
    fn add(&mut self, now: Duration, window: Duration, evidence: Evidence) -> (u32, u32) {
        let part = now.as_nanos() * u128::from(PARTS) / window.as_nanos().max(1);
        let part = u64::try_from(part).unwrap_or(u64::MAX);
        let at = usize::try_from(part % u64::from(PARTS)).unwrap_or(0);
        if self.parts[at].0 != part {
            self.parts[at] = (part, 0, 0);
        }
        let (_, failed, attempts) = &mut self.parts[at];
        *failed = failed.saturating_add(u32::from(evidence == Evidence::Bad));
        *attempts = attempts.saturating_add(1);
        let recent = self
            .parts
            .iter()
            .filter(|(of, ..)| of.saturating_add(PARTS.into()) > part);
        recent.fold((0, 0), |(failed, attempts), (_, f, a)| {
            (failed.saturating_add(*f), attempts.saturating_add(*a))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        let rules = KillSwitch::new().threshold(50).minimum(4).window(10 * SECOND);
        Breaker::new(rules.pause(5 * SECOND).probes(2))
    }

    /// One letter for each second: `g`ood, `b`ad, `w`ake, `.` nothing. What each changed, and what flows at the end.
    fn told(story: &str) -> (String, Flow) {
        let mut breaker = breaker();
        let mut changes = String::new();
        for (second, step) in (0u32..).zip(story.chars()) {
            let now = SECOND * second;
            let change = match step {
                'g' => breaker.record(now, Evidence::Good),
                'b' => breaker.record(now, Evidence::Bad),
                'w' => {
                    changes.push(if breaker.wake(now) { 'W' } else { '-' });
                    continue;
                }
                _ => None,
            };
            changes.push(match change {
                None => '-',
                Some(Change::Tripped { .. }) => 'T',
                Some(Change::ProbeFailed) => 'F',
                Some(Change::ProbeGood { .. }) => 'P',
                Some(Change::Resumed) => 'R',
            });
        }
        (changes, breaker.flow())
    }

    #[test]
    fn each_story_has_its_changes() {
        let none = |until| Flow::None { until: SECOND * until };
        for (story, changes, flow) in [
            // Too few, or too few bad ones.
            ("bbb", "---", Flow::Full),
            ("gggbb", "-----", Flow::Full),
            // Half of four.
            ("ggbb", "---T", none(8)),
            ("bbbb", "---T", none(8)),
            // What is older than the window does not count.
            ("bbb.........b", "-------------", Flow::Full),
            ("bbb.........bbb", "---------------", Flow::Full),
            // What ends during the pause changes nothing; the pause ends when it is over.
            ("bbbbgbgw", "---T----", none(8)),
            ("bbbb....w", "---T----W", Flow::Single { good: 0 }),
            ("bbbb.....w", "---T-----W", Flow::Single { good: 0 }),
            // Probes in succession.
            ("bbbb....wg", "---T----WP", Flow::Single { good: 1 }),
            ("bbbb....wgg", "---T----WPR", Flow::Full),
            ("bbbb....wb", "---T----WF", none(14)),
            ("bbbb....wgb....wgg", "---T----WPF----WPR", Flow::Full),
            // It begins anew, with nothing remembered.
            ("bbbb....wggbbb", "---T----WPR---", Flow::Full),
            ("bbbb....wggbbbb", "---T----WPR---T", none(19)),
        ] {
            let (told, flows) = told(story);
            assert_eq!((&*told, flows), (changes, flow), "{story}");
        }
    }

    #[test]
    fn it_says_how_many_failed_of_how_many() {
        let mut breaker = breaker();
        for (second, evidence) in (0u32..).zip([Evidence::Good, Evidence::Bad, Evidence::Good]) {
            assert_eq!(breaker.record(SECOND * second, evidence), None);
        }
        let expected = Change::Tripped { failed: 2, attempts: 4 };
        assert_eq!(breaker.record(SECOND * 3, Evidence::Bad), Some(expected));
    }

    #[test]
    fn rules_that_make_no_sense_are_told() {
        assert_eq!(KillSwitch::new().problem(), None);
        for wrong in [
            KillSwitch::new().threshold(0),
            KillSwitch::new().threshold(101),
            KillSwitch::new().minimum(0),
            KillSwitch::new().probes(0),
            KillSwitch::new().window(Duration::ZERO),
            KillSwitch::new().pause(Duration::ZERO),
        ] {
            assert!(wrong.problem().is_some(), "{wrong:?}");
        }
    }
}
