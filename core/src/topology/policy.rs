//! The minimal declarations, and the policies that say the rest. Pure.

use std::fmt;

use super::plan::SINGLE_ACTIVE_CONSUMER;
use crate::broker::{Argument, Arguments, Declaration, QueueDeclaration};

/// The arguments of a queue that no policy can set.
const DECLARED_ONLY: [&str; 2] = ["x-queue-type", SINGLE_ACTIVE_CONSUMER];

/// A policy that an operator sets where the topology mode is
/// [`Minimal`](crate::TopologyMode::Minimal): what a declaration would have said, in a form that can be changed while the
/// queue lives.
///
/// Its [`Display`](fmt::Display) is the command for the vhost `/`.
///
/// ```
/// use leveret::{Queue, topology::Topology};
///
/// for policy in Topology::new("leveret").policies(&Queue::new("mail")) {
///     println!("{}", policy.command("shop"));
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The exchange or queue that it is for.
    subject: String,
    kind: Kind,
    definition: Arguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exchanges,
    Queues,
}

impl Policy {
    /// What a declaration says beyond the little that only a declaration can say.
    pub(super) fn of(declaration: &Declaration) -> Option<Self> {
        let (subject, kind, arguments) = match declaration {
            Declaration::Exchange(exchange) => (&exchange.name, Kind::Exchanges, &exchange.arguments),
            Declaration::Queue(queue) => (&queue.name, Kind::Queues, &queue.arguments),
            Declaration::Binding(_) | Declaration::ExchangeBinding(_) => return None,
        };
        let keys = arguments
            .iter()
            .filter(|(name, _)| !DECLARED_ONLY.contains(&name.as_str()));
        let definition: Arguments = keys
            .map(|(name, value)| (name.trim_start_matches("x-").to_owned(), value.clone()))
            .collect();
        (!definition.is_empty()).then(|| Self {
            subject: subject.clone(),
            kind,
            definition,
        })
    }

    /// The `rabbitmqctl` command that sets it, quoted for a POSIX shell. It is for one exchange or queue alone, and its priority
    /// is 0: RabbitMQ applies only one policy to each, so one of your own with a higher priority has to hold these keys too.
    #[must_use]
    pub fn command(&self, vhost: &str) -> String {
        let kind = match self.kind {
            Kind::Exchanges => "exchanges",
            Kind::Queues => "queues",
        };
        format!(
            "rabbitmqctl set_policy --vhost {} --priority 0 --apply-to {kind} {} {} {}",
            quoted(vhost),
            quoted(&format!("leveret {kind} {}", self.subject)),
            quoted(&exactly(&self.subject)),
            quoted(&self.json()),
        )
    }

    fn json(&self) -> String {
        let pairs = self.definition.iter().map(|(name, value)| {
            let value = match value {
                Argument::Text(text) => serde_json::Value::from(text.as_str()),
                Argument::Int(number) => serde_json::Value::from(*number),
                Argument::Bool(value) => serde_json::Value::from(*value),
            };
            (name.clone(), value)
        });
        serde_json::Value::Object(pairs.collect()).to_string()
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command("/"))
    }
}

/// The declaration without what a policy can say.
pub(super) fn bare(declaration: &Declaration) -> Declaration {
    match declaration {
        Declaration::Exchange(exchange) => {
            let mut bare = exchange.clone();
            bare.arguments.clear();
            Declaration::Exchange(bare)
        }
        Declaration::Queue(queue) => {
            let mut arguments = queue.arguments.clone();
            arguments.retain(|name, _| DECLARED_ONLY.contains(&name.as_str()));
            Declaration::Queue(QueueDeclaration {
                name: queue.name.clone(),
                arguments,
            })
        }
        Declaration::Binding(_) | Declaration::ExchangeBinding(_) => declaration.clone(),
    }
}

/// A regular expression (PCRE) that matches this name and no other.
fn exactly(name: &str) -> String {
    let mut pattern = String::from("^");
    for character in name.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    // `$` alone would also match before a line feed at the end; names hold none, but `\z` says it.
    pattern.push_str("\\z");
    pattern
}

/// In single quotes, as a POSIX shell takes them.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Queue;
    use crate::topology::Topology;

    #[test]
    fn every_argument_is_either_declared_or_said_by_a_policy() {
        let plan = Topology::new("leveret").declarations(&Queue::new("mail").max_length(9));
        for declaration in plan.iter() {
            let (all, left) = match (declaration, bare(declaration)) {
                (Declaration::Exchange(all), Declaration::Exchange(left)) => (&all.arguments, left.arguments),
                (Declaration::Queue(all), Declaration::Queue(left)) => (&all.arguments, left.arguments),
                (all, left) => {
                    assert_eq!(all, &left, "a binding is all there is to it");
                    continue;
                }
            };
            let said = Policy::of(declaration).map_or(0, |policy| policy.definition.len());
            assert_eq!(all.len(), left.len() + said, "{declaration:?}");
            assert!(
                left.keys()
                    .all(|name| matches!(name.as_str(), "x-queue-type" | "x-single-active-consumer")),
                "{left:?}"
            );
        }
    }

    #[test]
    fn that_a_schedule_has_one_active_consumer_is_declared_and_never_a_policy() {
        let topology = Topology::new("leveret");
        let policies = topology.schedule_policies("nightly");
        let [policy] = &*policies else {
            panic!("the delivery limit is one policy: {policies:?}");
        };
        assert!(
            policy.to_string().ends_with(r#" '{"delivery-limit":2147483647}'"#),
            "{policy}"
        );
        let Declaration::Queue(left) = bare(&topology.schedule("nightly").declarations[0]) else {
            panic!("a queue");
        };
        assert!(left.arguments.contains_key(SINGLE_ACTIVE_CONSUMER), "{left:?}");
    }

    #[test]
    fn the_command_says_it_all_in_one_line() {
        let policies = Topology::new("leveret").policies(&Queue::new("eu.mail"));
        let work = policies.last().expect("the work queue is the last");
        assert_eq!(
            work.command("shop"),
            "rabbitmqctl set_policy --vhost 'shop' --priority 0 --apply-to queues 'leveret queues eu.mail' '^eu\\.mail\\z' \
             '{\"dead-letter-exchange\":\"leveret.dead\",\"dead-letter-routing-key\":\"eu.mail\",\
             \"dead-letter-strategy\":\"at-least-once\",\"delivery-limit\":100,\"overflow\":\"reject-publish\"}'"
        );
    }

    #[test]
    fn a_name_with_quotes_and_patterns_stays_one_name() {
        let queue = Queue::named("o'neil (eu)*").expect("a queue may be called that");
        let policies = Topology::new("leveret").policies(&queue);
        let command = policies.last().expect("the work queue is the last").to_string();
        assert!(command.contains(r"'^o\'\''neil \(eu\)\*\z'"), "{command}");
    }
}
