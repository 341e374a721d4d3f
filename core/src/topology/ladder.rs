//! The delay ladder: queues in which messages wait their time, one for each power of two. Pure.
//!
//! Level `n` is a queue whose messages expire after 2ⁿ units, and an exchange in front of it. A routing key says at which levels a message
//! waits, one word for each level from the highest down, and then for which queue: `0.0.….1.0.1.mail` waits four units and one, and arrives in
//! `mail`. Each exchange looks at its own level's word: `1` goes into its queue, and from there, once expired, to the exchange below;
//! `0` goes there at once. Below the lowest is the exchange that delivers, by the last word.
//!
//! Nothing here waits in a worker's memory, and every hop is confirmed by the broker to itself (at-least-once dead lettering). What the last
//! exchange cannot route, because the queue was deleted, goes to the lost jobs.

use std::time::Duration;

use super::names::Names;
use super::plan::{NO_DELIVERY_LIMIT, binding, exchange, quorum, text};
use crate::broker::{Argument, Arguments, Declaration, Destination, ExchangeBinding, ExchangeKind, QueueDeclaration};

/// What the lowest level waits, and what waits are rounded up to.
const UNIT: Duration = Duration::from_millis(100);

/// How many levels there are: 29 reach 621 days.
const LEVELS: u32 = 29;

/// What each level waits beyond its units. The broker's clock tells whole milliseconds, so a wait in one level may be one short, and so may
/// the time at which a job is due. With this a job never arrives early.
const MARGIN_MS: i64 = 2;

/// The way to one queue through the ladder, whatever the wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    names: Names,
    /// The queue's name as one word.
    word: String,
}

impl Route {
    pub(super) fn new(names: Names, queue: &str) -> Self {
        Self {
            names,
            word: Names::word(queue),
        }
    }

    /// The route that a destination lies on, if it is one of a ladder. The inverse of [`Route::destination`].
    pub(crate) fn of(destination: &Destination) -> Option<Self> {
        if destination.exchange.is_empty() {
            // Nearly all: no need to look closer.
            return None;
        }
        let names = Names::of_delay_level(&destination.exchange)?;
        let mut words = destination.routing_key.split('.');
        let bits = words.by_ref().take(LEVELS as usize);
        if bits.filter(|word| matches!(*word, "0" | "1")).count() != LEVELS as usize {
            return None;
        }
        match (words.next(), words.next()) {
            (Some(word), None) => Some(Self {
                names,
                word: word.to_owned(),
            }),
            _ => None,
        }
    }

    pub(super) fn is_of(&self, names: &Names) -> bool {
        self.names == *names
    }

    /// Where a message is published that shall arrive after a wait, and never before: straight into its queue if that is over.
    pub(crate) fn destination(&self, wait: Duration) -> Destination {
        let units = units(wait);
        let Some(highest) = units.checked_ilog2() else {
            return Destination::queue(self.queue());
        };
        let mut routing_key = String::with_capacity(2 * LEVELS as usize + self.word.len());
        for level in (0..LEVELS).rev() {
            routing_key.push_str(if units & (1 << level) == 0 { "0." } else { "1." });
        }
        routing_key.push_str(&self.word);
        Destination {
            exchange: self.names.delay_level(highest),
            routing_key,
        }
    }

    /// Where all of them arrive: what they have in common.
    pub(crate) fn end(&self) -> Destination {
        Destination {
            exchange: self.names.delay_end(),
            routing_key: self.word.clone(),
        }
    }

    /// The name of the queue that it leads to.
    pub(crate) fn queue(&self) -> String {
        Names::queue_of_word(&self.word)
    }

    /// The exchange that delivers, and how it finds the queue. Whoever declares a queue declares these with it, whether anything waits or not: with a
    /// deleted queue its binding goes as well, and the next who makes the queue anew may not be the one who delays.
    pub(super) fn arrival(&self) -> [Declaration; 2] {
        let end = self.names.delay_end();
        let lost = Argument::Text(self.names.lost_exchange());
        let alternate = Arguments::from([("alternate-exchange".to_owned(), lost)]);
        let any = "*.".repeat(LEVELS as usize);
        [
            exchange(end.clone(), ExchangeKind::Topic, alternate),
            binding(self.queue(), end, &format!("{any}{}", self.word)),
        ]
    }

    /// All levels, in an order in which nothing is ever without a way on, given the queue with its [`Route::arrival`].
    pub(super) fn declarations(&self) -> Vec<Declaration> {
        (0..LEVELS).flat_map(|level| self.level(level)).collect()
    }

    fn level(&self, level: u32) -> [Declaration; 4] {
        let name = self.names.delay_level(level);
        let below = match level.checked_sub(1) {
            Some(below) => self.names.delay_level(below),
            None => self.names.delay_end(),
        };
        let mut arguments = quorum(NO_DELIVERY_LIMIT);
        let wait = 100 * (1 << level) + MARGIN_MS;
        for (argument, value) in [
            ("x-message-ttl", Argument::Int(wait)),
            ("x-dead-letter-exchange", Argument::Text(below.clone())),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ] {
            arguments.insert(argument.to_owned(), value);
        }
        let above = "*.".repeat((LEVELS - 1 - level) as usize);
        [
            exchange(name.clone(), ExchangeKind::Topic, Arguments::new()),
            Declaration::Queue(QueueDeclaration {
                name: name.clone(),
                arguments,
            }),
            binding(name.clone(), name.clone(), &format!("{above}1.#")),
            Declaration::ExchangeBinding(ExchangeBinding {
                destination: below,
                source: name,
                routing_key: format!("{above}0.#"),
            }),
        ]
    }
}

/// The queues in which messages wait.
pub(super) fn queues(names: &Names) -> impl Iterator<Item = String> {
    (0..LEVELS).map(|level| names.delay_level(level))
}

/// A wait in units, rounded up, and at the most what the ladder has.
fn units(wait: Duration) -> u32 {
    let most = (1 << LEVELS) - 1;
    let units = wait.as_nanos().div_ceil(UNIT.as_nanos());
    u32::try_from(units).map_or(most, |units| units.min(most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(queue: &str) -> Route {
        Route::new(Names::new("leveret"), queue)
    }

    #[test]
    fn a_wait_is_rounded_up_to_units_and_named_by_its_highest_level() {
        let millis = Duration::from_millis;
        for (wait, units, exchange) in [
            (Duration::from_nanos(1), 1, "leveret.delay.v1.00"),
            (millis(100), 1, "leveret.delay.v1.00"),
            (millis(101), 2, "leveret.delay.v1.01"),
            (Duration::from_secs(90), 900, "leveret.delay.v1.09"),
            (Duration::from_secs(365 * 86_400), 315_360_000, "leveret.delay.v1.28"),
            (Duration::MAX, (1 << 29) - 1, "leveret.delay.v1.28"),
        ] {
            let destination = route("mail").destination(wait);
            let bits = destination
                .routing_key
                .strip_suffix(".mail")
                .expect("the queue is last");
            let binary = bits.replace('.', "");
            assert_eq!(u32::from_str_radix(&binary, 2), Ok(units), "{wait:?}");
            assert_eq!((binary.len(), &*destination.exchange), (29, exchange), "{wait:?}");
        }
        assert_eq!(
            route("eu.mail").destination(Duration::ZERO),
            Destination::queue("eu.mail")
        );
    }

    #[test]
    fn only_what_the_ladder_itself_has_made_lies_on_a_route() {
        let there = route("mail").destination(UNIT);
        for (exchange, routing_key) in [
            (there.exchange.as_str(), "mail"),
            (there.exchange.as_str(), &*there.routing_key.replace('1', "2")),
            (there.exchange.as_str(), &*format!("{}.more", there.routing_key)),
            ("leveret.delay.v1.deliver", &*there.routing_key),
            ("leveret.dead", &*there.routing_key),
            ("", &*there.routing_key),
        ] {
            let destination = Destination {
                exchange: exchange.to_owned(),
                routing_key: routing_key.to_owned(),
            };
            assert_eq!(Route::of(&destination), None, "{destination:?}");
        }
        assert_eq!(Route::of(&there), Some(route("mail")));
    }

    #[test]
    fn every_way_on_is_there_before_what_needs_it() {
        let mut there = vec!["leveret.lost".to_owned(), "mail".to_owned()];
        let route = route("mail");
        for declaration in route.arrival().into_iter().chain(route.declarations()) {
            let needed = match &declaration {
                Declaration::Exchange(exchange) => exchange.arguments.get("alternate-exchange").cloned(),
                Declaration::Queue(queue) => queue.arguments.get("x-dead-letter-exchange").cloned(),
                Declaration::Binding(binding) => Some(text(&binding.queue)),
                Declaration::ExchangeBinding(binding) => Some(text(&binding.destination)),
            };
            if let Some(Argument::Text(needed)) = needed {
                assert!(there.contains(&needed), "{declaration:?}");
            }
            match declaration {
                Declaration::Exchange(exchange) => there.push(exchange.name),
                Declaration::Queue(queue) => there.push(queue.name),
                _ => {}
            }
        }
        assert_eq!(there.len(), 2 + 1 + 2 * 29);
    }

    #[test]
    fn a_level_waits_a_little_more_than_its_units_and_loses_nothing() {
        let declarations = route("mail").declarations();
        let queues = declarations.iter().filter_map(|declaration| match declaration {
            Declaration::Queue(queue) => Some(&queue.arguments),
            _ => None,
        });
        for (level, arguments) in queues.enumerate() {
            assert_eq!(arguments["x-message-ttl"], Argument::Int(100 * (1 << level) + 2));
            assert_eq!(arguments["x-dead-letter-strategy"], text("at-least-once"));
            assert_eq!(arguments["x-overflow"], text("reject-publish"));
            assert_eq!(arguments["x-queue-type"], text("quorum"));
            assert_eq!(arguments["x-delivery-limit"], Argument::Int(NO_DELIVERY_LIMIT));
        }
    }

    proptest! {
        #[test]
        fn two_names_are_never_one_word_and_a_word_is_short_enough(
            one in "[a-c.*#]{1,6}|[^\\p{Cc}]{1,180}",
            other in "[a-c.*#]{1,6}",
        ) {
            let word = Names::word(&one);
            prop_assert_eq!(word == Names::word(&other), one == other);
            prop_assert_eq!(Names::queue_of_word(&word), one.clone());
            prop_assert_eq!(word.len(), one.len());
            prop_assert!(!word.contains(['.', '*', '#']));
            prop_assert!(one.len() > 180 || route(&Names::due_queue(&one)).destination(UNIT).routing_key.len() <= 255);
        }

        #[test]
        fn a_destination_tells_its_route(queue in "[^\\p{Cc}]{1,60}", millis in 1u64..) {
            let route = route(&queue);
            let read = Route::of(&route.destination(Duration::from_millis(millis)));
            prop_assert_eq!(read.as_ref(), Some(&route));
        }
    }
}
