//! What the broker knows, by `rabbitmqctl`. Each call takes about a second: Erlang starts for it.

use std::error::Error;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::Node;

/// A frozen node never answers.
const DEADLINE: Duration = Duration::from_secs(60);

/// How many messages a queue holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct QueueDepth {
    /// The queue's name.
    pub name: String,
    /// All of them: ready and unacknowledged.
    pub messages: u64,
    /// Those that wait for a consumer.
    #[serde(rename = "messages_ready")]
    pub ready: u64,
    /// Those that a consumer holds.
    #[serde(rename = "messages_unacknowledged")]
    pub unacked: u64,
}

/// Why `rabbitmqctl` failed, in its own words.
#[derive(Debug, Clone)]
pub struct CtlError(String);

impl fmt::Display for CtlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CtlError {}

impl Node {
    /// Runs `rabbitmqctl` against this node, and returns what it printed.
    ///
    /// # Errors
    ///
    /// What `rabbitmqctl` says if it fails, or that it did not end within a minute.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String, CtlError> {
        let mut command = Command::from(self.home.ctl());
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output = match timeout(DEADLINE, command.output()).await {
            Err(_) => {
                return Err(CtlError(format!(
                    "rabbitmqctl {arguments:?} did not end within {DEADLINE:?}"
                )));
            }
            Ok(output) => output.map_err(|error| CtlError(format!("cannot run rabbitmqctl: {error}")))?,
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(CtlError(format!(
                "rabbitmqctl {arguments:?}: {}\n{text}{complaint}",
                output.status
            )));
        }
        Ok(text)
    }

    /// The depth of every queue of the default virtual host. The counts of quorum queues are up to 0.2 s old: wait for
    /// them with [`eventually`](crate::signal::eventually).
    ///
    /// # Panics
    ///
    /// If the node does not answer.
    pub async fn queues(&self) -> Vec<QueueDepth> {
        let columns = ["name", "messages", "messages_ready", "messages_unacknowledged"];
        self.list_queues(&columns).await
    }

    /// These columns of every queue of the default virtual host.
    pub(crate) async fn list_queues<T: for<'a> Deserialize<'a>>(&self, columns: &[&str]) -> Vec<T> {
        self.list("list_queues", columns).await
    }

    /// The depth of `queue`, or `None` if there is no such queue; see [`queues`](Node::queues).
    ///
    /// # Panics
    ///
    /// If the node does not answer.
    pub async fn depth(&self, queue: &str) -> Option<QueueDepth> {
        self.queues().await.into_iter().find(|depth| depth.name == queue)
    }

    /// The names that clients gave their connections; an empty name for those that gave none.
    ///
    /// # Panics
    ///
    /// If the node does not answer.
    pub async fn connections(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Connection {
            /// Name, AMQP type and value of each property.
            client_properties: Vec<(String, String, Value)>,
        }
        let connections: Vec<Connection> = self.list("list_connections", &["client_properties"]).await;
        let name = |connection: Connection| {
            let mut properties = connection.client_properties.into_iter();
            let (_, _, name) = properties.find(|(key, _, _)| key == "connection_name")?;
            name.as_str().map(str::to_owned)
        };
        connections
            .into_iter()
            .map(|connection| name(connection).unwrap_or_default())
            .collect()
    }

    /// Has the node write its tables to disk, as it does by itself within half a second.
    ///
    /// Call it between the making of a queue and a [`kill`](Node::kill): RabbitMQ 3.10 finds its quorum queues by a table that it
    /// writes late, and a quorum queue that is not yet in it comes back empty and without a leader, confirmed messages
    /// or not.
    ///
    /// # Panics
    ///
    /// If the node does not answer.
    pub async fn flush_tables(&self) {
        self.demand(&["eval", "[ok = dets:sync(Table) || Table <- dets:all()]."])
            .await;
    }

    /// Closes every client's connection the way an administrator does.
    ///
    /// # Panics
    ///
    /// If the node does not answer.
    pub async fn close_all_connections(&self) {
        self.demand(&["close_all_connections", "closed by the test"]).await;
    }

    /// [`list_queues`](Node::list_queues) of a node that may not answer: one that is starting, or waits for its cluster.
    pub(crate) async fn try_list_queues<T: for<'a> Deserialize<'a>>(&self, columns: &[&str]) -> Option<Vec<T>> {
        let arguments = [&["list_queues", "--quiet", "--formatter", "json"], columns].concat();
        let printed = self.ctl(&arguments).await.ok()?;
        serde_json::from_str(&printed).ok()
    }

    async fn list<T: for<'a> Deserialize<'a>>(&self, what: &str, columns: &[&str]) -> Vec<T> {
        let arguments = [&[what, "--quiet", "--formatter", "json"], columns].concat();
        let printed = self.demand(&arguments).await;
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{what} printed {printed:?}: {error}"))
    }

    async fn demand(&self, arguments: &[&str]) -> String {
        self.ctl(arguments)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.home.log_tail()))
    }
}
