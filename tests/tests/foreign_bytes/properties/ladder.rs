//! The routing keys of delays: which queue a message waits for, and how long.

use std::time::Duration;

use leveret::Queue;
use leveret::broker::Destination;
use leveret::topology::Topology;

use super::source::Source;

/// How many levels the ladder has, and so how many words its keys have before the last.
const LEVELS: usize = 29;

/// Takes any input.
pub fn check(input: &[u8]) {
    let mut source = Source::new(input);
    let topology = Topology::new("leveret");
    let (exchange, wait) = (source.text(), source.number().cast_unsigned());
    let (one, other) = (source.text(), source.text());
    // A key of anybody: read or not, and what is read has its way there.
    let foreign = Destination {
        exchange,
        routing_key: String::from_utf8_lossy(source.rest()).into_owned(),
    };
    if topology.arrives_in(&foreign).is_some() {
        assert!(foreign.exchange.starts_with("leveret.delay.v1."), "{foreign:?}");
        assert_eq!(foreign.routing_key.split('.').count(), LEVELS + 1, "{foreign:?}");
    }
    let (one, other) = (Queue::named(one), Queue::named(other));
    if let Ok(queue) = &one {
        leads_there(&topology, queue, Duration::from_millis(wait));
    }
    if let (Ok(one), Ok(other)) = (one, other)
        && one.name() != other.name()
    {
        let wait = Duration::from_millis(wait.max(1));
        let keys = [&one, &other].map(|queue| topology.delayed(queue, wait).destination.routing_key.clone());
        assert_ne!(keys[0], keys[1], "two queues, one key");
    }
}

fn leads_there(topology: &Topology, queue: &Queue, wait: Duration) {
    let destination = topology.delayed(queue, wait).destination;
    if wait.is_zero() {
        assert_eq!(destination, Destination::queue(queue.name()).into());
        return;
    }
    assert_eq!(topology.arrives_in(&destination).as_deref(), Some(queue.name()));
    assert!(destination.routing_key.len() <= 255, "a key is a short string");
    let words: Vec<&str> = destination.routing_key.split('.').collect();
    assert_eq!(words.len(), LEVELS + 1, "{destination:?}");
    assert!(!words[LEVELS].contains(['*', '#']), "the last word is no pattern");
    let units = words[..LEVELS]
        .iter()
        .fold(0u128, |units, bit| units * 2 + u128::from(*bit == "1"));
    let most = (1u128 << LEVELS) - 1;
    assert_eq!(units, wait.as_millis().div_ceil(100).min(most), "{wait:?}");
    assert_eq!(destination.exchange, format!("leveret.delay.v1.{:02}", units.ilog2()));
}
