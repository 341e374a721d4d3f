//! How an exchange finds the queues of a routing key.

use std::collections::{BTreeMap, BTreeSet};

use super::Name;
use crate::broker::topology::{Argument, Arguments, ExchangeKind};

/// What is bound to an exchange.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Queue(Name),
    Exchange(Name),
}

/// An exchange and what is bound to it.
#[derive(Debug)]
pub(crate) struct ExchangeState {
    pub(crate) kind: ExchangeKind,
    pub(crate) arguments: Arguments,
    bindings: BTreeMap<String, BTreeSet<Target>>,
}

impl ExchangeState {
    pub(crate) fn new(kind: ExchangeKind, arguments: Arguments) -> Self {
        Self {
            kind,
            arguments,
            bindings: BTreeMap::new(),
        }
    }

    pub(crate) fn bind(&mut self, key: &str, target: Target) {
        self.bindings.entry(key.to_owned()).or_default().insert(target);
    }

    pub(crate) fn unbind_queue(&mut self, queue: &str) {
        self.unbind(|target| matches!(target, Target::Queue(name) if **name == *queue));
    }

    pub(crate) fn unbind_exchange(&mut self, exchange: &str) {
        self.unbind(|target| matches!(target, Target::Exchange(name) if **name == *exchange));
    }

    fn unbind(&mut self, is_it: impl Fn(&Target) -> bool) {
        self.bindings.retain(|_, targets| {
            targets.retain(|target| !is_it(target));
            !targets.is_empty()
        });
    }

    /// The exchange that gets what this one cannot route.
    pub(crate) fn alternate(&self) -> Option<&str> {
        match self.arguments.get("alternate-exchange") {
            Some(Argument::Text(name)) => Some(name),
            _ => None,
        }
    }

    /// What is bound for a key, each once. A topic exchange looks at each of its bindings: there are few of them.
    pub(crate) fn route(&self, key: &str) -> BTreeSet<&Target> {
        match self.kind {
            ExchangeKind::Direct => self.bindings.get(key).into_iter().flatten().collect(),
            ExchangeKind::Fanout => self.bindings.values().flatten().collect(),
            ExchangeKind::Topic => {
                let matching = self.bindings.iter().filter(|(pattern, _)| topic_matches(pattern, key));
                matching.flat_map(|(_, targets)| targets).collect()
            }
        }
    }
}

/// Whether a topic pattern (`*`: one word, `#`: any number of words) matches a routing key.
pub(crate) fn topic_matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let words: Vec<&str> = if key.is_empty() {
        Vec::new()
    } else {
        key.split('.').collect()
    };
    let (mut at_pattern, mut at_word) = (0, 0);
    // Where the last `#` stands and how many words it has taken: the place to come back to when a later word differs.
    let mut last_hash: Option<(usize, usize)> = None;
    while at_word < words.len() {
        match pattern.get(at_pattern) {
            Some(&"#") => {
                last_hash = Some((at_pattern, at_word));
                at_pattern += 1;
            }
            Some(&word) if word == "*" || word == words[at_word] => {
                at_pattern += 1;
                at_word += 1;
            }
            _ => {
                let Some((hash, taken)) = last_hash else { return false };
                last_hash = Some((hash, taken + 1));
                at_pattern = hash + 1;
                at_word = taken + 1;
            }
        }
    }
    let rest = pattern.get(at_pattern..).unwrap_or_default();
    rest.iter().all(|word| *word == "#") || (key.is_empty() && rest == [""])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_patterns_match_word_by_word() {
        for (pattern, key, expected) in [
            ("mail", "mail", true),
            ("mail", "eu.mail", false),
            ("*", "mail", true),
            ("*", "eu.mail", false),
            ("*", "", false),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("#.mail", "mail", true),
            ("#.mail", "0.1.0.mail", true),
            ("#.mail", "0.1.0.mails", false),
            ("*.*.1.#", "0.0.1.0.mail", true),
            ("*.*.0.#", "0.0.1.0.mail", false),
            ("*.1.#", "0.1", true),
            ("a.#.b.#.c", "a.b.b.x.c", true),
            ("a.#.b.#.c", "a.x.c", false),
            ("a.*", "a.", true),
            ("", "", true),
        ] {
            assert_eq!(topic_matches(pattern, key), expected, "{pattern:?} and {key:?}");
        }
    }
}
