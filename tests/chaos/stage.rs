//! The broker, the network and the programs of one scenario.

use std::path::PathBuf;
use std::time::Duration;

use leveret::DeadLetterRecord;
use leveret_tests::soak::record::now;
use leveret_tests::{Cluster, Node, Proxy};

use crate::clock;
use crate::flow::{Flow, letters};
use crate::row::{Allowed, Row};
use crate::scenario::{Load, Scenario, Setup};

/// So many jobs are done before anything goes wrong: everything stands by then.
const UNDER_WAY: usize = 300;
/// Short, so that what only a heartbeat can tell is told soon.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(4);
const QUEUE: &str = "soak";

/// Where a scenario is played.
pub(crate) struct Stage {
    name: &'static str,
    within: Duration,
    broker: Broker,
    proxy: Option<Proxy>,
    pub(crate) flow: Flow,
    pub(crate) allowed: Allowed,
    began: Option<u64>,
    ended: Option<u64>,
    /// Whether workers are promised to say that they are not ready while the cause lasts.
    unready: bool,
    notes: Vec<String>,
    faults: Vec<String>,
    directory: PathBuf,
}

enum Broker {
    Node(Node),
    Cluster(Cluster),
}

impl Stage {
    /// Sets everything up, and lets jobs flow.
    pub(crate) async fn set(scenario: &Scenario) -> Stage {
        let broker = match scenario.setup {
            Setup::Node(settings) => Broker::Node(Node::start_with(settings).await),
            Setup::Proxied => Broker::Node(Node::start().await),
            Setup::Cluster => Broker::Cluster(Cluster::start(3).await),
        };
        let proxy = match (&broker, scenario.setup) {
            (Broker::Node(node), Setup::Proxied) => Some(Proxy::start(node.address()).await),
            _ => None,
        };
        let url = match (&broker, &proxy) {
            (_, Some(proxy)) => proxy.amqp_url(),
            (Broker::Node(node), None) => node.amqp_url(),
            (Broker::Cluster(cluster), None) => cluster.amqp_url(),
        };
        let directory = std::env::temp_dir().join(format!("leveret-chaos-{}-{}", std::process::id(), scenario.name));
        std::fs::create_dir_all(&directory).expect("a directory for temporary files");
        clock::set(&directory, 0);
        let url = format!("{url}/?heartbeat={}", HEARTBEAT.as_secs());
        let flow = Flow::start(QUEUE, &url, scenario.load, &directory);
        let mut stage = Stage {
            name: scenario.name,
            within: scenario.within,
            broker,
            proxy,
            flow,
            allowed: Allowed::default(),
            began: None,
            ended: None,
            unready: false,
            notes: Vec::new(),
            faults: Vec::new(),
            directory,
        };
        stage.flow.wait_for_done(UNDER_WAY).await;
        stage
    }

    /// The one node.
    pub(crate) fn node(&self) -> &Node {
        match &self.broker {
            Broker::Node(node) => node,
            Broker::Cluster(cluster) => &cluster.nodes()[0],
        }
    }

    /// The three nodes.
    pub(crate) fn cluster(&self) -> &Cluster {
        match &self.broker {
            Broker::Cluster(cluster) => cluster,
            Broker::Node(_) => panic!("{} has one node", self.name),
        }
    }

    /// The network in front of the node.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("the scenario is proxied")
    }

    /// From here on it goes wrong.
    pub(crate) fn cause_begins(&mut self) {
        self.began.get_or_insert_with(now);
    }

    /// From here on nothing keeps jobs from flowing.
    pub(crate) fn cause_ended(&mut self) {
        self.ended = Some(now());
    }

    /// [`cause_ended`](Stage::cause_ended), where the clocks of the processes are ahead by so much.
    pub(crate) fn cause_ended_ahead(&mut self, ahead: Duration) {
        self.ended = u64::try_from(ahead.as_millis()).ok().map(|ahead| now() + ahead);
    }

    /// The dead letters so far.
    pub(crate) async fn letters(&self) -> Vec<DeadLetterRecord> {
        letters(&self.url(), &self.flow.queue).await
    }

    /// Puts the clocks of the processes ahead by so many seconds, or back; 0 is right.
    pub(crate) fn set_clock(&self, seconds: i64) {
        clock::set(&self.directory, seconds);
    }

    /// The connections of the workers, by the node's names for them. The producer's end with its last job.
    pub(crate) async fn connections(&self) -> Vec<String> {
        let listed = self
            .node()
            .ctl(&["list_connections", "--quiet", "pid", "client_properties"])
            .await;
        let listed = listed.expect("the node answers");
        let of_workers = listed.lines().filter(|line| line.contains("worker-"));
        let connections: Vec<String> = of_workers
            .filter_map(|line| Some(line.split('\t').next()?.to_owned()))
            .collect();
        assert!(!connections.is_empty(), "workers are connected: {listed}");
        connections
    }

    /// Where the broker is, without a network in front of it.
    fn url(&self) -> String {
        match &self.broker {
            Broker::Node(node) => node.amqp_url(),
            Broker::Cluster(cluster) => cluster.amqp_url(),
        }
    }

    /// Lets the cause last.
    pub(crate) async fn last(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// No worker consumes while the cause lasts: each has to say so within two heartbeats, and that it is ready again afterwards.
    pub(crate) fn expect_unready(&mut self) {
        self.unready = true;
    }

    /// Something that the table shall say.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Something that is not as promised.
    pub(crate) fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    /// Lets everything come to its end and judges it. The files stay where something is wrong.
    pub(crate) async fn end(mut self) -> Row {
        let url = self.url();
        if self.unready {
            self.check_readiness();
        }
        let outcome = self.flow.end(&url).await;
        let row = Row::judge(self.name, outcome, &self.allowed, self.ended, self.within);
        let row = row.with_notes(self.notes, self.faults);
        if row.is_good() {
            let _ = std::fs::remove_dir_all(&self.directory);
            return row;
        }
        let kept = format!("the files are in {}", self.directory.display());
        row.with_notes(vec![kept], Vec::new())
    }

    /// Every worker of the beginning said within two heartbeats that it was not ready.
    fn check_readiness(&mut self) {
        let (Some(began), Some(ended)) = (self.began, self.ended) else {
            return;
        };
        let unready = |states: &Vec<(u64, String)>| {
            let mut during = states.iter().filter(|(at, _)| (began..=ended).contains(at));
            during
                .find(|(_, health)| health.starts_with("not ready"))
                .map(|(at, _)| at - began)
        };
        let firsts: Vec<Option<u64>> = self.flow.states().iter().map(unready).collect();
        match firsts.iter().copied().collect::<Option<Vec<u64>>>() {
            None => self.fault("a worker never said that it was not ready"),
            Some(firsts) => {
                let last = firsts.into_iter().max().unwrap_or(0);
                self.note(format!("not ready after {last} ms"));
                // A heartbeat is looked for twice an interval, and a busy machine needs a moment too.
                if u128::from(last) > (2 * HEARTBEAT + Duration::from_secs(2)).as_millis() {
                    self.fault("a worker said too late that it was not ready");
                }
            }
        }
    }
}

/// Some seconds of the usual load.
pub(crate) const fn load(seconds: u32) -> Load {
    crate::scenario::USUAL.seconds(seconds)
}
