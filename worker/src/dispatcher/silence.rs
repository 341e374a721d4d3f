//! When a consumer counts as dead although nobody said so: its queue has jobs ready, it has room for them, and look after look nothing
//! has come. Pure: what is seen goes in, what to do comes out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use leveret::broker::QueueDepth;

use super::Role;
use crate::joined::Intake;

/// After so long without a delivery the broker is asked what is ready.
const LOOK: Duration = Duration::from_secs(15);

/// While nothing is ready, the looks become rarer up to this.
const SELDOM: Duration = Duration::from_secs(60);

/// Once something was ready, the next look is this far away: what was on its way has come by then.
const AGAIN: Duration = Duration::from_secs(5);

/// How many looks in succession it takes.
const LOOKS: u32 = 3;

/// How many times the first wait doubles while new consumers bring nothing either: up to eight minutes.
const DOUBLINGS: u32 = 5;

/// What a look saw of one source; `None`: there is no such queue.
pub(super) type Sight = (String, Option<QueueDepth>);

/// What is known of one queue's silence.
#[derive(Debug)]
pub(super) struct Silence {
    role: Role,
    /// What had come when it was last looked at.
    last: Vec<Intake>,
    /// How many looks in succession found jobs of a source that did not come.
    unheard: BTreeMap<String, u32>,
    /// How many looks in succession found nothing ready.
    idle: u32,
    /// How many consumers in succession were replaced, and none has brought anything.
    in_vain: u32,
}

/// A consumer that counts as dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silent {
    pub(super) source: String,
    seen: Option<QueueDepth>,
}

impl Silence {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            last: Vec::new(),
            unheard: BTreeMap::new(),
            idle: 0,
            in_vain: 0,
        }
    }

    /// There is a new consumer.
    pub(super) fn begin(&mut self, intakes: Vec<Intake>) {
        self.last = intakes;
        self.unheard.clear();
        self.idle = 0;
    }

    /// How long to wait before the next look.
    pub(super) fn wait(&self) -> Duration {
        if !self.unheard.is_empty() {
            return AGAIN;
        }
        let first = LOOK * (1 << self.in_vain.min(DOUBLINGS));
        (first * (1 << self.idle.min(DOUBLINGS))).min(SELDOM.max(first))
    }

    /// It is time for a look: the sources to ask after. To those that brought something meanwhile, or have no room, nobody listens in vain.
    pub(super) fn due(&mut self, now: Vec<Intake>) -> Vec<String> {
        if now.iter().all(|intake| intake.delivered > 0) {
            self.in_vain = 0;
        }
        let quiet = now.iter().filter(|intake| self.is_quiet(intake));
        let quiet: Vec<String> = quiet.map(|intake| intake.source.clone()).collect();
        self.unheard.retain(|source, _| quiet.contains(source));
        if quiet.len() < now.len() {
            self.idle = 0;
        }
        self.last = now;
        quiet
    }

    /// The broker has answered, for all or none of those that were asked after.
    pub(super) fn seen(&mut self, now: &[Intake], sights: Vec<Sight>) -> Option<Silent> {
        let listened: BTreeMap<String, u32> = sights
            .iter()
            .filter(|(source, depth)| {
                let waits_for = now
                    .iter()
                    .any(|intake| intake.source == *source && self.is_quiet(intake));
                waits_for && self.is_wrong(*depth)
            })
            .map(|(source, _)| (source.clone(), self.unheard.get(source).map_or(1, |looks| looks + 1)))
            .collect();
        self.idle = if listened.is_empty() {
            self.idle.saturating_add(1)
        } else {
            0
        };
        self.unheard = listened;
        let (source, _) = self.unheard.iter().find(|(_, looks)| **looks >= LOOKS)?;
        let seen = sights
            .iter()
            .find(|(asked, _)| asked == source)
            .and_then(|(_, depth)| *depth);
        let silent = Silent {
            source: source.clone(),
            seen,
        };
        self.in_vain = self.in_vain.saturating_add(1);
        Some(silent)
    }

    /// Whether a source has room and brought nothing since the last look.
    fn is_quiet(&self, now: &Intake) -> bool {
        now.has_room
            && self
                .last
                .iter()
                .any(|last| last.source == now.source && last.delivered == now.delivered)
    }

    /// Whether a consumer that hears nothing should. Of suspects only one consumer of all workers gets any, so the others' silence says
    /// nothing, unless the broker knows of none.
    fn is_wrong(&self, depth: Option<QueueDepth>) -> bool {
        depth.is_none_or(|depth| match self.role {
            Role::Work => depth.ready > 0,
            Role::Suspects => depth.ready > 0 && depth.consumers == 0,
        })
    }
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, seen } = self;
        match seen {
            Some(QueueDepth { ready, consumers }) => write!(
                f,
                "{ready} jobs are ready in the queue `{source}` and none is delivered here, though there is room and the connection works (the \
                 broker counts {consumers} consumers); the consumer is replaced"
            ),
            None => write!(
                f,
                "the queue `{source}` is gone, and the broker did not say so; the consumer is replaced"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake(delivered: u64, has_room: bool) -> Vec<Intake> {
        vec![Intake {
            source: "mail".to_owned(),
            delivered,
            has_room,
        }]
    }

    fn sight(ready: u32, consumers: u32) -> Vec<Sight> {
        vec![("mail".to_owned(), Some(QueueDepth { ready, consumers }))]
    }

    /// One letter for each look: `r`eady and silent, `e`mpty, `d`elivered since, `f`ull hand, `?` no answer, `m`issing queue, `n`o consumer known.
    fn told(role: Role, story: &str) -> (String, u64) {
        let mut silence = Silence::new(role);
        silence.begin(intake(0, true));
        let (mut delivered, mut told) = (0, String::new());
        for step in story.chars() {
            delivered += u64::from(step == 'd');
            let now = intake(delivered, step != 'f');
            let asked = silence.due(now.clone());
            let sights = match step {
                _ if asked.is_empty() => Vec::new(),
                'r' => sight(9, 1),
                'n' => sight(9, 0),
                'm' => vec![("mail".to_owned(), None)],
                '?' => Vec::new(),
                _ => sight(0, 1),
            };
            let silent = if asked.is_empty() {
                None
            } else {
                silence.seen(&now, sights)
            };
            told.push(match (asked.is_empty(), silent) {
                (true, _) => '.',
                (false, None) => 'a',
                (false, Some(_)) => {
                    silence.begin(intake(0, true));
                    delivered = 0;
                    'X'
                }
            });
        }
        (told, silence.wait().as_secs())
    }

    #[test]
    fn each_story_has_its_end() {
        for (role, story, ends, wait) in [
            (Role::Work, "", "", 15),
            // Three looks in succession, and only in succession.
            (Role::Work, "rr", "aa", 5),
            (Role::Work, "rrr", "aaX", 30),
            (Role::Work, "nnn", "aaX", 30),
            (Role::Work, "mmm", "aaX", 30),
            (Role::Work, "rrdrr", "aa.aa", 5),
            (Role::Work, "rrfrr", "aa.aa", 5),
            (Role::Work, "rrerr", "aaaaa", 5),
            (Role::Work, "rr?rr", "aaaaa", 5),
            // Where jobs flow, nobody is asked.
            (Role::Work, "dddd", "....", 15),
            // A quiet queue is asked after more and more rarely.
            (Role::Work, "e", "a", 30),
            (Role::Work, "eeeeeeeeee", "aaaaaaaaaa", 60),
            (Role::Work, "eeeed", "aaaa.", 15),
            // Replaced in vain, it is tried again ever more rarely; one that brings something begins anew.
            (Role::Work, "rrrrrr", "aaXaaX", 60),
            (Role::Work, "rrrrrrrrrrrrrrrrrrrrr", "aaXaaXaaXaaXaaXaaXaaX", 480),
            (Role::Work, "rrrrrrd", "aaXaaX.", 15),
            // Suspects wait for their only active consumer.
            (Role::Suspects, "rrrrrr", "aaaaaa", 60),
            (Role::Suspects, "nnn", "aaX", 30),
        ] {
            assert_eq!(told(role, story), (ends.to_owned(), wait), "{story}");
        }
    }

    #[test]
    fn a_delivery_between_question_and_answer_is_heard() {
        let mut silence = Silence::new(Role::Work);
        silence.begin(intake(0, true));
        for _ in 1..LOOKS {
            assert_eq!(silence.due(intake(0, true)), ["mail"]);
            assert_eq!(silence.seen(&intake(0, true), sight(9, 1)), None);
        }
        assert_eq!(silence.due(intake(0, true)), ["mail"]);
        assert_eq!(silence.seen(&intake(1, true), sight(9, 1)), None);
        assert_eq!(silence.due(intake(1, true)), Vec::<String>::new());
    }

    #[test]
    fn each_source_is_listened_to_by_itself() {
        let both = |due, work| {
            [("mail.due", due), ("mail", work)].map(|(source, delivered)| Intake {
                source: source.to_owned(),
                delivered,
                has_room: true,
            })
        };
        let mut silence = Silence::new(Role::Work);
        silence.begin(both(0, 0).to_vec());
        let mut silent = None;
        for busy in 1..=3 {
            assert_eq!(silence.due(both(0, busy).to_vec()), ["mail.due"]);
            let depth = QueueDepth { ready: 1, consumers: 1 };
            silent = silence.seen(&both(0, busy), vec![("mail.due".to_owned(), Some(depth))]);
        }
        assert_eq!(silent.map(|silent| silent.source).as_deref(), Some("mail.due"));
    }
}
