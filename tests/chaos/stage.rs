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
use crate::way::Way;

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
    /// Empty: the usual one.
    vhost: &'static str,
    /// What stands between the programs and the broker, beyond a proxy.
    pub(crate) way: Way,
    proxy: Option<Proxy>,
    pub(crate) flow: Flow,
    pub(crate) allowed: Allowed,
    began: Option<u64>,
    /// Since then it is wholly there, where that took its time.
    stands: Option<u64>,
    ended: Option<u64>,
    /// Within so many heartbeats workers have to say that they are not ready while the cause lasts; 0: they need not.
    unready: u32,
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
        let mut way = match scenario.setup {
            Setup::Behind(hurdle) => Way::lay(hurdle).await,
            _ => Way::default(),
        };
        let broker = match scenario.setup {
            Setup::Node(settings) => Broker::Node(Node::start_with(settings).await),
            Setup::Proxied => Broker::Node(Node::start().await),
            Setup::Vhost(vhost) => Broker::Node(node_with(vhost).await),
            Setup::Cluster => Broker::Cluster(Cluster::start(3).await),
            Setup::Behind(_) => Broker::Node(way.node.take().expect("the way leads to one")),
        };
        let proxy = match (&broker, scenario.setup) {
            (Broker::Node(node), Setup::Proxied) => Some(Proxy::start(node.address()).await),
            _ => way.proxy.take(),
        };
        let url = match (&broker, &proxy) {
            _ if !way.url.is_empty() => way.url.clone(),
            (_, Some(proxy)) => proxy.amqp_url(),
            (Broker::Node(node), None) => node.amqp_url(),
            (Broker::Cluster(cluster), None) => cluster.amqp_url(),
        };
        let directory = std::env::temp_dir().join(format!("leveret-chaos-{}-{}", std::process::id(), scenario.name));
        std::fs::create_dir_all(&directory).expect("a directory for temporary files");
        let vhost = match scenario.setup {
            Setup::Vhost(vhost) => vhost,
            _ => "",
        };
        clock::set(&directory, 0);
        let url = format!("{url}/{vhost}?heartbeat={}{}", HEARTBEAT.as_secs(), way.query);
        let flow = Flow::start(QUEUE, (&url, &way.launcher), scenario.load, &directory);
        let mut stage = Stage {
            name: scenario.name,
            within: scenario.within,
            broker,
            vhost,
            way,
            proxy,
            flow,
            allowed: Allowed {
                hops: matches!(scenario.setup, Setup::Cluster),
                ..Allowed::default()
            },
            began: None,
            stands: None,
            ended: None,
            unready: 0,
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

    /// The virtual host that jobs flow in, as `rabbitmqctl` calls it.
    pub(crate) fn vhost(&self) -> &'static str {
        if self.vhost.is_empty() { "/" } else { self.vhost }
    }

    /// Has the node do something, which has to succeed.
    pub(crate) async fn ctl(&self, arguments: &[&str]) -> String {
        let done = self.node().ctl(arguments).await;
        done.unwrap_or_else(|error| panic!("{error}"))
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

    /// From here on it is as wrong as it gets: `rabbitmqctl` may take its time on a busy machine.
    pub(crate) fn cause_stands(&mut self) {
        self.stands.get_or_insert_with(now);
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
        let url = match &self.broker {
            Broker::Node(node) => node.amqp_url(),
            Broker::Cluster(cluster) => cluster.amqp_url(),
        };
        format!("{url}/{}", self.vhost)
    }

    /// Lets the cause last.
    pub(crate) async fn last(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// No worker consumes while the cause lasts: each has to say so within two heartbeats, and that it is ready again afterwards.
    pub(crate) fn expect_unready(&mut self) {
        self.expect_unready_within(2);
    }

    /// The same within so many heartbeats.
    pub(crate) fn expect_unready_within(&mut self, heartbeats: u32) {
        self.unready = heartbeats;
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
        if self.unready > 0 {
            self.check_readiness();
        }
        let outcome = self.flow.end(&url, &self.allowed.destroyed.jobs).await;
        let row = Row::judge(self.name, outcome, &self.allowed, self.ended, self.within);
        let row = row.with_notes(self.notes, self.faults);
        if row.is_good() {
            let _ = std::fs::remove_dir_all(&self.directory);
            return row;
        }
        let kept = format!("the files are in {}", self.directory.display());
        row.with_notes(vec![kept, left(&self.broker, self.vhost).await], Vec::new())
    }

    /// Every worker of the beginning said in time that it was not ready.
    fn check_readiness(&mut self) {
        let (Some(began), Some(ended)) = (self.began, self.ended) else {
            return;
        };
        let unready = |states: &Vec<(u64, String)>| {
            let mut during = states.iter().filter(|(at, _)| (began..=ended).contains(at));
            during
                .find(|(_, health)| health.starts_with("not ready"))
                .map(|(at, _)| at.saturating_sub(self.stands.unwrap_or(began)))
        };
        let firsts: Vec<Option<u64>> = self.flow.states().iter().map(unready).collect();
        match firsts.iter().copied().collect::<Option<Vec<u64>>>() {
            None => self.fault("a worker never said that it was not ready"),
            Some(firsts) => {
                let last = firsts.into_iter().max().unwrap_or(0);
                self.note(format!("not ready after {last} ms"));
                // A heartbeat is looked for twice an interval, and a busy machine needs a moment too.
                if u128::from(last) > (self.unready * HEARTBEAT + Duration::from_secs(2)).as_millis() {
                    self.fault("a worker said too late that it was not ready");
                }
            }
        }
    }
}

async fn node_with(vhost: &str) -> Node {
    let node = Node::start().await;
    for step in make_vhost(vhost) {
        node.ctl(&step).await.unwrap_or_else(|error| panic!("{error}"));
    }
    node
}

/// What makes a virtual host that everybody may use.
pub(crate) fn make_vhost(vhost: &str) -> [Vec<&str>; 2] {
    [
        vec!["add_vhost", vhost],
        vec!["set_permissions", "-p", vhost, "guest", ".*", ".*", ".*"],
    ]
}

/// Some seconds of the usual load.
pub(crate) const fn load(seconds: u32) -> Load {
    crate::scenario::USUAL.seconds(seconds)
}

/// What lies in the broker, for whoever looks for what is missing.
async fn left(broker: &Broker, vhost: &str) -> String {
    let node = match broker {
        Broker::Node(node) => node,
        Broker::Cluster(cluster) => &cluster.nodes()[0],
    };
    let vhost = if vhost.is_empty() { "/" } else { vhost };
    let columns = ["name", "messages", "messages_ready", "messages_dlx"];
    let listed = [&["list_queues", "--quiet", "--vhost", vhost][..], &columns].concat();
    let listed = node.ctl(&listed).await.unwrap_or_else(|error| error.to_string());
    let holds = |line: &&str| line.split_whitespace().skip(1).any(|count| count != "0");
    let lines: Vec<&str> = listed.lines().filter(holds).collect();
    format!("the broker holds: {}", lines.join(", ").replace('\t', " "))
}
