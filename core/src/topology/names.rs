//! The only place where names in the broker are built.

/// Stands between the prefix and the level.
const DELAY: &str = ".delay.v1.";

/// The characters that mean something in the key of a binding, and what stands for them in a word.
const WORDS: [(char, char); 3] = [('.', '\u{1f}'), ('*', '\u{1e}'), ('#', '\u{1d}')];

/// The names that belong to one prefix (`leveret` unless configured).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The exchange that all dead letters go through; the routing key is the work queue's name.
    pub(super) fn dead_exchange(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The exchange behind [`Names::dead_exchange`] for what it cannot route.
    pub(super) fn lost_exchange(&self) -> String {
        format!("{}.lost", self.prefix)
    }

    /// The queue that collects what the hops nobody awaits could not route.
    pub(super) fn lost_queue(&self) -> String {
        format!("{}.lost", self.prefix)
    }

    /// The queue, and the exchange in front of it, of one level of the delay ladder. The version is part of the name: a ladder that is made in
    /// another way is another one, and what waits in the old one still arrives.
    pub(super) fn delay_level(&self, level: u32) -> String {
        format!("{}{DELAY}{level:02}", self.prefix)
    }

    /// The exchange below the lowest level: it delivers.
    pub(super) fn delay_end(&self) -> String {
        format!("{}{DELAY}deliver", self.prefix)
    }

    /// The names to whose ladder a level's exchange belongs: the inverse of [`Names::delay_level`].
    pub(super) fn of_delay_level(exchange: &str) -> Option<Self> {
        let (prefix, level) = exchange.rsplit_once(DELAY)?;
        let is_level = level.len() == 2 && level.bytes().all(|byte| byte.is_ascii_digit());
        is_level.then(|| Self::new(prefix))
    }

    /// A queue's name as one word of a routing key, as long as the name itself. What would make several words of it, or a pattern in a binding,
    /// becomes a control character; names have none of their own, so two names never become one word.
    pub(super) fn word(queue: &str) -> String {
        let swapped = |character| {
            WORDS
                .iter()
                .find(|(plain, _)| *plain == character)
                .map(|(_, word)| *word)
        };
        queue
            .chars()
            .map(|character| swapped(character).unwrap_or(character))
            .collect()
    }

    /// The name behind a word: the inverse of [`Names::word`].
    pub(super) fn queue_of_word(word: &str) -> String {
        let swapped = |character| {
            WORDS
                .iter()
                .find(|(_, word)| *word == character)
                .map(|(plain, _)| *plain)
        };
        word.chars()
            .map(|character| swapped(character).unwrap_or(character))
            .collect()
    }

    /// Where the due jobs of a work queue go that takes no more than so many.
    pub(super) fn due_queue(work: &str) -> String {
        format!("{work}.due")
    }

    /// The queue in which the baton of a schedule lies.
    pub(super) fn schedule_queue(&self, schedule: &str) -> String {
        format!("{}.schedule.{schedule}", self.prefix)
    }

    /// The dead letters of a work queue.
    pub(super) fn dead_queue(work: &str) -> String {
        format!("{work}.dead")
    }

    /// The jobs of a work queue that may have crashed their workers.
    pub(super) fn suspect_queue(work: &str) -> String {
        format!("{work}.suspect")
    }

    /// What is locked while a queue of dead letters is inspected.
    pub(super) fn inspection_lock(dead: &str) -> String {
        format!("{dead}.inspected")
    }
}
