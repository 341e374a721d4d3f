//! Telling the operator what the minimal mode leaves to people.

use crate::connect::{ConnectOptions, Endpoint, TopologyMode};
use crate::queue::Queue;
use crate::topology::{Policy, Topology};

/// Logs the policies that a queue needs, where the topology mode leaves them to the operator. Whoever calls it does so once for each queue.
pub fn announce_policies(options: &ConnectOptions, queue: &Queue) {
    announce(options, &format!("the queue '{}'", queue.name()), |topology| {
        topology.policies(queue)
    });
}

/// Logs the policies that the delay ladder needs, where the topology mode leaves them to the operator.
pub fn announce_delay_policies(options: &ConnectOptions) {
    announce(options, "delayed jobs", Topology::delay_policies);
}

/// Logs the policies that the queue of a schedule needs, where the topology mode leaves them to the operator.
pub fn announce_schedule_policies(options: &ConnectOptions, schedule: &str) {
    announce(options, &format!("the schedule '{schedule}'"), |topology| {
        topology.schedule_policies(schedule)
    });
}

fn announce(options: &ConnectOptions, what: &str, policies: impl FnOnce(&Topology) -> Vec<Policy>) {
    let Endpoint::Amqp(endpoint) = options.endpoint() else {
        return;
    };
    if options.topology_mode() != TopologyMode::Minimal {
        return;
    }
    for policy in policies(&Topology::new(options.name_prefix())) {
        tracing::warn!(
            needed_by = what,
            command = policy.command(endpoint.vhost()),
            "this policy has to be set before the first job"
        );
    }
}
