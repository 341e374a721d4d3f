//! Several nodes that are one broker.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};

use crate::Node;
use crate::secret::LOGIN;
use crate::signal::{comes_true_within, eventually_within};

/// Nodes that vanish without a word are given up after this many seconds, not after a minute. The smaller half of a parted cluster ends
/// its clients' connections and waits: RabbitMQ's own advice for three nodes.
const SETTINGS: [&str; 2] = ["net_ticktime = 5", "cluster_partition_handling = pause_minority"];

/// How long a member may take to be level with the others, on a machine that is busy.
const CATCHING_UP: Duration = Duration::from_secs(180);

/// Where a quorum queue lives.
#[derive(Debug, Clone, Deserialize)]
struct Place {
    name: String,
    leader: String,
    members: Vec<String>,
    online: Vec<String>,
}

/// Private nodes joined to a cluster. Each can be killed, frozen and started again like any [`Node`]; a frozen one is what
/// the others see of a partition.
///
/// It ends with this value or with the process. One cluster runs at a time in a process: six nodes that start at once would
/// only be slow.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    _only_one: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Starts `size` nodes and joins them.
    ///
    /// # Panics
    ///
    /// As [`Node::start`], or if they do not join.
    pub async fn start(size: usize) -> Cluster {
        static ONLY_ONE: Mutex<()> = Mutex::const_new(());
        let only_one = ONLY_ONE.lock().await;
        let first = Node::start_with(&SETTINGS).await;
        let others = futures_util::future::join_all((1..size).map(|_| first.start_beside(&SETTINGS))).await;
        let nodes = [first].into_iter().chain(others).collect();
        let cluster = Cluster {
            nodes,
            _only_one: only_one,
        };
        // One after the other: the members of a cluster take in one newcomer at a time.
        for node in &cluster.nodes[1..] {
            cluster.join(node).await;
        }
        cluster
    }

    async fn join(&self, node: &Node) {
        let first = self.nodes[0].name();
        for step in [&["stop_app"][..], &["join_cluster", &first], &["start_app"]] {
            node.ctl(step).await.unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// The nodes, in the order in which they joined.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Where clients connect: every node is a host of it.
    pub fn amqp_url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| node.address().to_string()).collect();
        format!("amqp://{LOGIN}@{}", hosts.join(","))
    }

    /// The node that leads a quorum queue, and by which everything goes that the queue is told.
    ///
    /// # Panics
    ///
    /// If no running node leads the queue.
    pub async fn leader_of(&self, queue: &str) -> &Node {
        let found = self.find_leader_of(queue).await;
        found.unwrap_or_else(|| panic!("no running node leads {queue}"))
    }

    /// [`leader_of`](Cluster::leader_of), or `None` while there is none, as in an election.
    pub async fn find_leader_of(&self, queue: &str) -> Option<&Node> {
        let place = self.place(queue).await?;
        let leads = |node: &&Node| node.pid().is_some() && node.name() == place.leader;
        self.nodes.iter().find(leads)
    }

    /// Waits until all members of a quorum queue are there, one on each node: until then it can lose less than it is meant to.
    ///
    /// # Panics
    ///
    /// If they do not come.
    pub async fn wait_for_members(&self, queue: &str) {
        let everywhere = async || self.has_members(queue).await;
        eventually_within(CATCHING_UP, format!("{queue} has a member on each node"), everywhere).await;
    }

    /// Whether all members of a quorum queue are there, or come within this time.
    pub async fn has_members_within(&self, patience: Duration, queue: &str) -> bool {
        comes_true_within(patience, async || self.has_members(queue).await).await
    }

    async fn has_members(&self, queue: &str) -> bool {
        let place = self.place(queue).await;
        place.is_some_and(|place| place.members.len() == self.nodes.len() && place.online.len() == self.nodes.len())
    }

    /// Starts every node again that is stopped.
    ///
    /// # Panics
    ///
    /// If one does not come up.
    pub async fn start_again(&self) {
        let stopped = self.nodes.iter().filter(|node| node.pid().is_none());
        // Together: a node may wait for the others before it answers.
        futures_util::future::join_all(stopped.map(Node::start_again)).await;
    }

    /// Parts one node from the others: neither side gets through to the other, clients reach both. [`unite`](Cluster::unite) ends it.
    ///
    /// # Panics
    ///
    /// If the node does not do as it is told.
    pub async fn part(&self, place: usize) {
        // A node that knows another cookie for its peers refuses them, and is refused.
        let part = "[begin erlang:set_cookie(N, parted), erlang:disconnect_node(N) end || N <- MEMBERS, N =/= node()].";
        self.tell(place, &part.replace("MEMBERS", &self.members())).await;
    }

    /// Lets a node that was [parted](Cluster::part) back to the others.
    ///
    /// # Panics
    ///
    /// If the node does not do as it is told.
    pub async fn unite(&self, place: usize) {
        let unite = "[begin erlang:set_cookie(N, erlang:get_cookie()), net_kernel:connect_node(N) end || N <- MEMBERS, N =/= node()].";
        self.tell(place, &unite.replace("MEMBERS", &self.members())).await;
    }

    /// All nodes, as Erlang writes a list of them.
    fn members(&self) -> String {
        let names: Vec<String> = self.nodes.iter().map(|node| format!("'{}'", node.name())).collect();
        format!("[{}]", names.join(","))
    }

    async fn tell(&self, place: usize, expression: &str) {
        let told = self.nodes[place].ctl(&["eval", expression]).await;
        told.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn place(&self, queue: &str) -> Option<Place> {
        let mut places = Vec::<Place>::new();
        // The first that answers: one may be starting, and one that was parted waits for the others.
        for node in self.nodes.iter().filter(|node| node.pid().is_some()) {
            if let Some(listed) = node.try_list_queues(&["name", "leader", "members", "online"]).await {
                places = listed;
                break;
            }
        }
        places.into_iter().find(|place| place.name == queue)
    }
}
