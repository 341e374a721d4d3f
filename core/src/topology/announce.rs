//! Telling the operator what the minimal mode leaves to people.

use crate::connect::{ConnectOptions, Endpoint, TopologyMode};
use crate::queue::Queue;
use crate::topology::Topology;

/// Logs the policies that a queue needs, where the topology mode leaves them to the operator. Whoever calls it does so once for each queue.
pub fn announce_policies(options: &ConnectOptions, queue: &Queue) {
    let Endpoint::Amqp(endpoint) = options.endpoint() else {
        return;
    };
    if options.topology_mode() != TopologyMode::Minimal {
        return;
    }
    for policy in Topology::new(options.name_prefix()).policies(queue) {
        tracing::warn!(
            queue = queue.name(),
            command = policy.command(endpoint.vhost()),
            "this policy has to be set before the first job"
        );
    }
}
