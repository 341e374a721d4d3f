//! A private RabbitMQ node.
//!
//! # Layout
//!
//! - [`Node`]: what a test does with a node.
//! - `start`: how it comes up.
//! - `home`: its directory, its configuration, its environment.
//! - `watchdog`: ends it when the test process is gone, however that ended.
//! - `process`: an operating system process that the watchdog knows.
//! - `probe`: whether it answers.
//! - [`Version`]: what it is, and what that means.
//! - `ctl`: what the broker knows, by `rabbitmqctl`.

mod ctl;
mod home;
mod probe;
mod process;
mod start;
mod version;
mod watchdog;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

pub use self::ctl::{CtlError, QueueDepth};
use self::home::Home;
use self::process::{Process, Signal};
pub use self::version::Version;
use self::watchdog::Watchdog;
use crate::installation::Installation;
use crate::logs;
use crate::secret::LOGIN;

const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// A frozen node will never get there.
const REGISTERED_DEADLINE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A RabbitMQ node of this test alone: own ports on loopback, own data, own cookie and epmd.
///
/// The node ends with this value or with the process, whichever is first, and nothing of it stays behind. It can be
/// stopped, killed and frozen meanwhile, and comes back on the same port with the same data.
pub struct Node {
    /// `None` while the node is stopped. Locked only to look or to swap, never across an await.
    broker: Mutex<Option<Process>>,
    /// Lives as long as the node's data: nodes find each other and `rabbitmqctl` finds them by it. `None`: that of the node
    /// beside which this one was started.
    epmd: Option<Process>,
    /// Ends both processes and removes the home once it is dropped or this process is gone.
    watchdog: Watchdog,
    home: Home,
}

/// The node that the tests of this process share, for tests that own nothing but their queues. Started by the first.
///
/// Never stop, freeze or block it: those tests need a [`Node::start`] of their own.
pub async fn shared() -> &'static Node {
    // No `Drop` runs for a static: the watchdog ends this node with the process.
    static SHARED: OnceCell<Node> = OnceCell::const_new();
    SHARED.get_or_init(Node::start).await
}

impl Node {
    /// Starts a node and waits until it answers.
    ///
    /// # Panics
    ///
    /// If RabbitMQ is not installed (run `cargo xtask broker`) or the node does not come up; the end of its log is in
    /// the message.
    pub async fn start() -> Node {
        Node::start_with(&[]).await
    }

    /// Starts a node with these lines added to its `rabbitmq.conf`: `consumer_timeout = 5000`.
    ///
    /// # Panics
    ///
    /// As [`Node::start`].
    pub async fn start_with(settings: &[&str]) -> Node {
        Node::start_with_files(settings, &[]).await
    }

    /// [`start_with`](Node::start_with), with files of these names and texts in the node's directory, which the lines call
    /// `{home}`: `ssl_options.certfile = {home}/server.pem`.
    ///
    /// # Panics
    ///
    /// As [`Node::start`].
    pub async fn start_with_files(settings: &[&str], files: &[(&str, &str)]) -> Node {
        logs::init();
        let installation = Installation::find().unwrap_or_else(|missing| panic!("{missing}"));
        let home = || {
            let home = Home::create(installation.clone(), settings);
            files.iter().for_each(|(name, text)| home.write(name, text));
            home
        };
        start::start(&home).await
    }

    /// Starts another node with the same cookie and port mapper, so that the two can form a cluster.
    pub(crate) async fn start_beside(&self, settings: &[&str]) -> Node {
        start::start(&|| Home::beside(&self.home, settings)).await
    }

    /// Where clients connect: `amqp://USER:PASSWORD@127.0.0.1:PORT`, virtual host `/`; see [`secret`](crate::secret).
    pub fn amqp_url(&self) -> String {
        format!("amqp://{LOGIN}@{}", self.address())
    }

    /// What Erlang calls it, and the broker where it lists members of a cluster.
    pub fn name(&self) -> String {
        self.home.node_name()
    }

    /// The AMQP port; the same over restarts.
    pub fn port(&self) -> u16 {
        self.home.amqp_port()
    }

    /// The AMQP address, for a proxy in front of the node.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port()))
    }

    /// Where a file of the node's directory is, for this process.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.directory().join(name)
    }

    /// Puts another text into a file of the node's directory.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn replace_file(&self, name: &str, text: &str) {
        std::fs::remove_file(self.file(name)).expect("the file is there");
        self.home.write(name, text);
    }

    /// The RabbitMQ that runs here. Suites state by it what versions do differently.
    ///
    /// # Panics
    ///
    /// If the node does not answer.
    pub async fn version(&self) -> Version {
        let version = probe::version(self.address()).await.expect("the node answers");
        Version::read(&version).unwrap_or_else(|| panic!("{version:?} is no version"))
    }

    /// The process id of the broker (the Erlang machine itself), or `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.broker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(Process::pid)
    }

    /// Stops the node in an orderly way: clients are told, data is flushed. Nothing happens if it is stopped.
    ///
    /// # Panics
    ///
    /// If it does not end within a minute.
    pub async fn stop(&self) {
        let Some(mut broker) = self.take() else { return };
        broker.signal(Signal::Resume);
        broker.signal(Signal::Stop);
        let end = Instant::now() + STOP_DEADLINE;
        while !broker.has_ended() {
            assert!(
                Instant::now() < end,
                "the node does not stop:\n{}",
                self.home.log_tail()
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Kills the node (SIGKILL), and returns once it is gone. Nothing happens if it is stopped.
    ///
    /// Waits until the node knows its quorum queues by heart: killed within half a second of a queue's declaration,
    /// RabbitMQ 3.10 comes back with that queue empty, confirmed messages lost. No client can help that, so no suite
    /// should stumble over it; see [`kill_at_once`](Node::kill_at_once).
    pub async fn kill(&self) {
        let end = Instant::now() + REGISTERED_DEADLINE;
        while !self.home.has_registered_queues() && Instant::now() < end {
            sleep(LOOK_AGAIN).await;
        }
        self.kill_at_once();
    }

    /// [`kill`](Node::kill) without a look at what the node may forget.
    pub fn kill_at_once(&self) {
        if let Some(broker) = self.take() {
            broker.kill();
        }
    }

    /// Starts the node again after [`stop`](Node::stop) or [`kill`](Node::kill), on its port, with its data, and waits
    /// until it answers.
    ///
    /// # Panics
    ///
    /// If it is running, or does not come up.
    pub async fn start_again(&self) {
        assert!(self.pid().is_none(), "the node is running");
        if let Err(why) = start::launch(self).await {
            panic!("{why}");
        }
    }

    /// An orderly stop and a start.
    ///
    /// # Panics
    ///
    /// As [`stop`](Node::stop) and [`start_again`](Node::start_again).
    pub async fn restart(&self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Freezes the node: connections stay open, nothing is read, nothing answered.
    ///
    /// # Panics
    ///
    /// If the node is stopped.
    pub fn pause(&self) {
        self.with_broker(Process::pause);
    }

    /// Lets a frozen node go on.
    ///
    /// # Panics
    ///
    /// If the node is stopped.
    pub fn resume(&self) {
        self.with_broker(|broker| broker.signal(Signal::Resume));
    }

    /// What the broker has spent so far, in seconds of CPU, to a hundredth.
    ///
    /// # Panics
    ///
    /// If the node is stopped, and where there is no `/proc`.
    pub fn cpu_seconds(&self) -> f64 {
        self.with_broker(Process::cpu_seconds)
    }

    fn with_broker<T>(&self, act: impl FnOnce(&Process) -> T) -> T {
        let broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        act(broker.as_ref().expect("the node is stopped"))
    }

    fn take(&self) -> Option<Process> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One way out for every end of a node: the watchdog kills by its pid files. Only then are the pids released.
        self.watchdog.release();
        if let Some(epmd) = &mut self.epmd {
            epmd.reap();
        }
        if let Some(mut broker) = self.take() {
            broker.reap();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.address())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
