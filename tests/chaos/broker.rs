//! Faults of the broker.
//!
//! - `node`: it goes away, and comes back
//! - `alarms`: it takes nothing for a while
//! - `access`: it no longer lets us in, or do what we want
//! - `removed`: somebody deletes what we need
//! - `limits`: it has less patience, or room, than we thought

mod access;
mod alarms;
mod limits;
mod node;
mod removed;

use std::time::Duration;

use crate::scenario::{Load, Options, Scenario, Setup};
use crate::stage::load;

const GROUP: &str = "broker";
/// A lost connection is tried again within a second; the rest is what a node takes to serve.
const TRANSPORT: Duration = Duration::from_secs(10);
/// Who was refused is tried again after ten seconds at the most; the rest is for a busy machine.
const REFUSED: Duration = Duration::from_secs(15);

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        group: GROUP,
        name: "broker-stop-and-start",
        what: "the node is stopped in order and comes back",
        setup: Setup::Node(&[]),
        load: load(30),
        within: TRANSPORT,
        act: |stage| Box::pin(node::stop_and_start(stage)),
    },
    Scenario {
        group: GROUP,
        name: "broker-killed",
        what: "the node is killed (SIGKILL) and comes back",
        setup: Setup::Node(&[]),
        load: load(30),
        within: TRANSPORT,
        act: |stage| Box::pin(node::killed(stage)),
    },
    Scenario {
        group: GROUP,
        name: "broker-app-stopped",
        what: "rabbitmqctl stop_app, and start_app three seconds later",
        setup: Setup::Node(&[]),
        load: load(30),
        within: TRANSPORT,
        act: |stage| Box::pin(node::app_stopped(stage)),
    },
    Scenario {
        group: GROUP,
        name: "connections-closed",
        what: "rabbitmqctl close_all_connections, four times",
        setup: Setup::Node(&[]),
        load: load(20),
        within: TRANSPORT,
        act: |stage| Box::pin(node::connections_closed(stage)),
    },
    Scenario {
        group: GROUP,
        name: "memory-alarm",
        what: "the memory alarm is on, longer than callers wait; consumers go on",
        setup: Setup::Node(&[]),
        load: alarms::load(),
        within: TRANSPORT,
        act: |stage| Box::pin(alarms::memory(stage)),
    },
    Scenario {
        group: GROUP,
        name: "disk-alarm",
        what: "the disk alarm is on, longer than callers wait; consumers go on",
        setup: Setup::Node(&[]),
        load: alarms::load(),
        within: TRANSPORT,
        act: |stage| Box::pin(alarms::disk(stage)),
    },
    Scenario {
        group: GROUP,
        name: "permission-lost",
        what: "the user may do nothing any more while connected, then all again",
        setup: Setup::Node(&[]),
        load: load(30),
        within: TRANSPORT,
        act: |stage| Box::pin(access::permission_lost(stage)),
    },
    Scenario {
        group: GROUP,
        name: "user-shut-out",
        what: "the user loses the virtual host and all connections, then gets it back",
        setup: Setup::Node(&[]),
        load: load(30),
        within: REFUSED,
        act: |stage| Box::pin(access::shut_out(stage)),
    },
    Scenario {
        group: GROUP,
        name: "password-changed",
        what: "another password and all connections closed, then the old password again",
        setup: Setup::Node(&[]),
        load: load(30),
        within: REFUSED,
        act: |stage| Box::pin(access::password_changed(stage)),
    },
    Scenario {
        group: GROUP,
        name: "vhost-deleted",
        what: "the virtual host is deleted with all that lies in it, and made again",
        setup: Setup::Vhost("chaos"),
        load: load(20),
        within: REFUSED,
        act: |stage| Box::pin(removed::vhost(stage)),
    },
    Scenario {
        group: GROUP,
        name: "queue-deleted",
        what: "the queue is deleted with all that lies in it, under producer and workers",
        setup: Setup::Node(&[]),
        load: load(20),
        within: TRANSPORT,
        act: |stage| Box::pin(removed::queue(stage)),
    },
    Scenario {
        group: GROUP,
        name: "dead-letter-exchange-deleted",
        what: "the exchange of the dead letters is deleted while jobs die",
        setup: Setup::Node(&[]),
        load: removed::MANY_DIE,
        within: TRANSPORT,
        act: |stage| Box::pin(removed::dead_exchange(stage)),
    },
    Scenario {
        group: GROUP,
        name: "delay-exchanges-deleted",
        what: "exchanges of the delay ladder are deleted while retries wait in it",
        setup: Setup::Node(&[]),
        load: load(25),
        within: TRANSPORT,
        act: |stage| Box::pin(removed::delay_exchanges(stage)),
    },
    Scenario {
        group: GROUP,
        name: "queue-full",
        what: "a queue with a length limit is full (reject-publish) while nobody works",
        setup: Setup::Node(&[]),
        load: Load {
            options: Options {
                producer: limits::LENGTH,
                worker: limits::LENGTH,
            },
            ..load(15)
        },
        within: TRANSPORT,
        act: |stage| Box::pin(limits::queue_full(stage)),
    },
    Scenario {
        group: GROUP,
        name: "delivery-limit-by-policy",
        what: "a policy sets a delivery limit of 1 while connections are lost over and over",
        setup: Setup::Node(&[]),
        load: load(25),
        within: TRANSPORT,
        act: |stage| Box::pin(limits::delivery_limit(stage)),
    },
    Scenario {
        group: GROUP,
        name: "consumer-timeout",
        what: "jobs take longer than the node's consumer_timeout of 10 seconds",
        setup: Setup::Node(&["consumer_timeout = 10000"]),
        load: load(20),
        within: TRANSPORT,
        act: |stage| Box::pin(limits::consumer_timeout(stage)),
    },
];
