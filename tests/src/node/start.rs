//! How a node comes up.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::home::Home;
use super::process::Process;
use super::watchdog::Watchdog;
use super::{LOOK_AGAIN, Node, probe};

/// A node starts in four seconds on a quiet machine; suites share theirs with builds.
const START_DEADLINE: Duration = Duration::from_secs(90);
const STARTS: usize = 3;

/// Why a node did not come up, with the end of its log.
pub(super) enum StartError {
    /// Somebody else took a port between the claim and the bind: try others.
    PortTaken(String),
    Failed(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (StartError::PortTaken(why) | StartError::Failed(why)) = self;
        f.write_str(why)
    }
}

/// Starts a node in a home of its own, and waits until it answers.
pub(super) async fn start(home: &dyn Fn() -> Home) -> Node {
    let mut last = String::new();
    for _ in 0..STARTS {
        match try_start(home()).await {
            Ok(node) => return node,
            Err(StartError::PortTaken(log)) => last = log,
            Err(StartError::Failed(why)) => panic!("{why}"),
        }
    }
    panic!("{STARTS} starts, each time a port was taken:\n{last}");
}

async fn try_start(home: Home) -> Result<Node, StartError> {
    // First of all: from here on nothing is left behind.
    let watchdog = Watchdog::guard(home.directory());
    let epmd = home.epmd().map(|epmd| Process::start("epmd", epmd, home.directory()));
    let node = Node {
        broker: Mutex::new(None),
        epmd,
        watchdog,
        home,
    };
    launch(&node).await?;
    Ok(node)
}

/// Starts the broker's process and waits for its first answer.
pub(super) async fn launch(node: &Node) -> Result<(), StartError> {
    let process = Process::start("broker", node.home.broker(), node.home.directory());
    *node.broker.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
    let end = Instant::now() + START_DEADLINE;
    while !probe::answers(node.address()).await {
        if node
            .broker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .is_none_or(Process::has_ended)
        {
            return Err(start_error(node, "the node ended while it was starting"));
        }
        if Instant::now() > end {
            return Err(start_error(node, "the node does not answer"));
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

fn start_error(node: &Node, what: &str) -> StartError {
    let log = node.home.log_tail();
    let why = format!(
        "{what}; its directory was {}, the end of its log:\n{log}",
        node.home.directory().display()
    );
    match log.contains("eaddrinuse") || log.contains("already_in_use") || log.contains("Address already in use") {
        true => StartError::PortTaken(why),
        false => StartError::Failed(why),
    }
}
