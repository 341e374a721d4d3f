//! Faults of the network.
//!
//! # Layout
//! - `ends`: connections that end
//! - `silence`: connections that live and are silent
//! - `line`: a line that is slow, or loses packets

mod ends;
mod line;
mod silence;

use std::time::Duration;

use leveret_tests::signal::eventually_within;

use crate::scenario::{Act, Load, Scenario, Setup, USUAL};
use crate::stage::{HEARTBEAT, Stage, load};
use crate::way::Hurdle;

/// A lost connection is tried again within a second.
const TRANSPORT: Duration = Duration::from_secs(10);
/// What only a heartbeat can tell.
const TOLD_BY_HEARTBEAT: Duration = Duration::from_secs(2 * HEARTBEAT.as_secs() + 5);
/// The connect deadline, 10 seconds, and what a new connection takes.
const TOLD_BY_DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        what: "every connection is reset (RST), five times",
        ..proxied("network-rst", 20, TRANSPORT, |stage| Box::pin(ends::reset(stage)))
    },
    Scenario {
        what: "every connection is ended in order (FIN), five times",
        ..proxied("network-fin", 20, TRANSPORT, |stage| Box::pin(ends::finish(stage)))
    },
    Scenario {
        what: "connections are cut in the middle of a frame, six times on the way to the broker and six on the way back",
        ..proxied("network-cut-mid-frame", 30, TRANSPORT, |stage| {
            Box::pin(ends::mid_frame(stage))
        })
    },
    Scenario {
        what: "nothing gets through in either direction, and nobody is told",
        ..proxied("network-black-hole", 30, TOLD_BY_HEARTBEAT, |stage| {
            Box::pin(silence::black_hole(stage))
        })
    },
    Scenario {
        what: "nothing gets through to the broker, which is heard",
        ..proxied("network-black-hole-to-broker", 30, TOLD_BY_HEARTBEAT, |stage| {
            Box::pin(silence::black_hole_to_broker(stage))
        })
    },
    Scenario {
        what: "nothing gets through to clients, which are heard",
        ..proxied("network-black-hole-to-client", 30, TOLD_BY_HEARTBEAT, |stage| {
            Box::pin(silence::black_hole_to_client(stage))
        })
    },
    Scenario {
        what: "nothing gets through for half a heartbeat, three times: nobody notices",
        ..proxied("network-stall-short", 30, TRANSPORT, |stage| {
            Box::pin(silence::short_stall(stage))
        })
    },
    Scenario {
        what: "open connections are stalled for 3 to 8 seconds while new ones are served, and go on",
        ..proxied("network-stall-long", 40, TOLD_BY_HEARTBEAT, |stage| {
            Box::pin(silence::long_stall(stage))
        })
    },
    Scenario {
        what: "every connection is reset, and for 12 seconds new ones are accepted and never answered",
        ..proxied("network-silent-listener", 40, TOLD_BY_DEADLINE, |stage| {
            Box::pin(silence::silent_listener(stage))
        })
    },
    Scenario {
        what: "of two hosts one is dead, and every connection is reset, five times",
        setup: Setup::Behind(Hurdle::DeadHost),
        ..proxied("network-dead-host", 20, TRANSPORT, |stage| Box::pin(ends::reset(stage)))
    },
    Scenario {
        what: "a name has an address that refuses, one that swallows everything, and a good one; connections are reset five times",
        setup: Setup::Behind(Hurdle::DeadAddresses),
        ..proxied("network-dead-addresses", 20, TRANSPORT, |stage| {
            Box::pin(ends::reset(stage))
        })
    },
    Scenario {
        what: "of two TLS hosts one accepts and says nothing, and every connection is reset, twice",
        setup: Setup::Behind(Hurdle::SilentTls),
        ..proxied("network-silent-tls", 30, TOLD_BY_DEADLINE, |stage| {
            Box::pin(ends::reset_under_tls(stage))
        })
    },
    Scenario {
        what: "for 20 seconds the line carries 10 kB a second: nobody is given up",
        setup: Setup::Behind(Hurdle::Line),
        load: FEW,
        ..proxied("network-slow", 30, TRANSPORT, |stage| Box::pin(line::slow(stage)))
    },
    Scenario {
        what: "for 20 seconds the line loses every tenth packet",
        setup: Setup::Behind(Hurdle::Line),
        ..proxied("network-lossy", 30, TRANSPORT, |stage| Box::pin(line::lossy(stage)))
    },
];

/// More than twice what a slow line carries.
const FEW: Load = Load {
    jobs: 1_200,
    rate: 40,
    ..USUAL
};

/// A scenario with a proxy between everybody and the broker.
const fn proxied(name: &'static str, seconds: u32, within: Duration, act: Act) -> Scenario {
    Scenario {
        group: "network",
        name,
        what: "",
        setup: Setup::Proxied,
        load: load(seconds),
        within,
        act,
    }
}

/// How many connections there are once all stand.
async fn connected(stage: &Stage) -> usize {
    // One of the producer and two of each worker; the first jobs are done by the time when a scenario begins.
    stage.proxy().connections()
}

/// Waits until so many connections are open.
async fn all_again(stage: &Stage, connections: usize) {
    let again = async || stage.proxy().connections() >= connections;
    eventually_within(TOLD_BY_DEADLINE, "everybody is connected again", again).await;
}
