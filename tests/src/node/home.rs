//! A node's directory, configuration and environment.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::installation::Installation;
use crate::ports::PortClaim;
use crate::secret::PASSWORD;

/// How much of a log a failure shows.
const TAIL_LINES: usize = 40;

/// Where a chroot's node finds its programs: the variables of this process mean nothing in there.
const CHROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/erlang/bin";

/// Enters the root directory `$0`. Without /proc a node cannot watch its memory. It is mounted in a namespace of the node's own,
/// so that it goes with it; and nothing here forks, so that the pid stays.
const ENTER: &str = r#"mount -t proc proc "$0/proc" && exec chroot "$0" "$@""#;

/// Everything on disk that belongs to one node, and the numbers it owns.
#[derive(Debug)]
pub(super) struct Home {
    /// As this process names it.
    directory: PathBuf,
    /// As the node names it; the same without a chroot.
    inside: PathBuf,
    amqp: PortClaim,
    /// Erlang distribution: how `rabbitmqctl` talks to the node.
    distribution: PortClaim,
    fellowship: Arc<Fellowship>,
    /// Whether it came first, and so has the port mapper to look after.
    is_first: bool,
}

/// What nodes must have in common to know each other.
#[derive(Debug)]
struct Fellowship {
    installation: Installation,
    cookie: String,
    epmd: PortClaim,
}

impl Home {
    pub(super) fn create(installation: Installation, settings: &[&str]) -> Home {
        let fellowship = Fellowship {
            installation,
            cookie: format!("{:016x}", RandomState::new().hash_one(())),
            epmd: PortClaim::take(),
        };
        Home::make(Arc::new(fellowship), true, settings)
    }

    /// A home for a node that knows the one of `first`.
    pub(super) fn beside(first: &Home, settings: &[&str]) -> Home {
        Home::make(Arc::clone(&first.fellowship), false, settings)
    }

    fn make(fellowship: Arc<Fellowship>, is_first: bool, settings: &[&str]) -> Home {
        let name = format!(
            "leveret-node-{}-{:08x}",
            std::process::id(),
            RandomState::new().hash_one(()) >> 32
        );
        let inside = match &fellowship.installation {
            Installation::System(_) => env::temp_dir().join(name),
            Installation::Chroot { .. } => Path::new("/tmp").join(name),
        };
        let directory = fellowship.installation.outside(&inside);
        let made = DirBuilder::new().mode(0o700).create(&directory);
        made.unwrap_or_else(|error| panic!("cannot create {}: {error}", directory.display()));
        let home = Home {
            directory,
            inside,
            amqp: PortClaim::take(),
            distribution: PortClaim::take(),
            fellowship,
            is_first,
        };
        home.write_files(settings);
        home
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn amqp_port(&self) -> u16 {
        self.amqp.number()
    }

    /// The port mapper of this node and those beside it, in the foreground: one that Erlang starts by itself would outlive them.
    pub(super) fn epmd(&self) -> Option<Command> {
        self.is_first.then(|| self.command("epmd"))
    }

    /// The broker. It replaces the script's process, so that the child's pid is the Erlang machine's.
    pub(super) fn broker(&self) -> Command {
        self.command(self.fellowship.installation.bin().join("rabbitmq-server"))
    }

    pub(super) fn ctl(&self) -> Command {
        let mut command = self.command(self.fellowship.installation.bin().join("rabbitmqctl"));
        command.args(["--node", &self.node_name()]);
        command
    }

    /// The end of everything the node has said.
    pub(super) fn log_tail(&self) -> String {
        let logs = ["epmd.log", "broker.log", "node.log"].map(|name| self.directory.join(name));
        let tails = logs.iter().filter_map(|log| fs::read_to_string(log).ok()).map(|text| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
        });
        tails.filter(|tail| !tail.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// Whether the file by which the node finds its quorum queues' data at a start names each queue's directory. It is
    /// written half a second after the last change.
    pub(super) fn has_registered_queues(&self) -> bool {
        let node = self.node_name();
        let quorum = self.directory.join("mnesia").join(&node).join("quorum").join(&node);
        let (Ok(names), Ok(entries)) = (fs::read(quorum.join("names.dets")), fs::read_dir(&quorum)) else {
            return true;
        };
        let queues = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
        let mut queues = queues.map(|queue| queue.file_name().into_encoded_bytes());
        queues.all(|queue| names.windows(queue.len()).any(|bytes| bytes == queue))
    }

    pub(super) fn node_name(&self) -> String {
        format!("leveret{}@localhost", self.amqp.number())
    }

    fn write_files(&self, settings: &[&str]) {
        let mut conf = vec![
            format!("listeners.tcp.default = 127.0.0.1:{}", self.amqp.number()),
            "loopback_users = none".to_owned(),
            format!("default_pass = {PASSWORD}"),
            "log.console = false".to_owned(),
            "disk_free_limit.absolute = 10MB".to_owned(),
        ];
        let inside = self.inside.display().to_string();
        conf.extend(settings.iter().map(|line| line.replace("{home}", &inside)));
        self.write("rabbitmq.conf", &(conf.join("\n") + "\n"));
        // Quorum queues report their counts to `rabbitmqctl` by this clock; the usual 5 s would make every look late.
        self.write(
            "advanced.config",
            "[{rabbit, [{quorum_tick_interval, 200}, {dead_letter_worker_publisher_confirm_timeout, 5000}]}].\n",
        );
        self.write("enabled_plugins", "[].\n");
        self.write(".erlang.cookie", &self.fellowship.cookie);
    }

    /// Readable by the owner alone: Erlang refuses a cookie that others may read.
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.directory.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }

    /// `program` with the node's environment and nothing else: a developer's own RabbitMQ variables must not matter.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match &self.fellowship.installation {
            Installation::System(_) => {
                let mut command = Command::new(program);
                let path = env::var("PATH").unwrap_or_else(|_| CHROOT_PATH.to_owned());
                command.env_clear().env("PATH", path).envs(self.environment());
                command
            }
            Installation::Chroot { root, .. } => {
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "sh", "-c", ENTER])
                    .arg(root)
                    .args(["/usr/bin/env", "-i"])
                    .arg(format!("PATH={CHROOT_PATH}"));
                command
                    .args(self.environment().map(|(key, value)| format!("{key}={value}")))
                    .arg(program);
                command.env_clear().env("PATH", CHROOT_PATH);
                command
            }
        }
    }

    fn environment(&self) -> impl Iterator<Item = (&'static str, String)> {
        let path = |name: &str| self.inside.join(name).display().to_string();
        let loopback = "-kernel inet_dist_use_interface {127,0,0,1}";
        [
            ("HOME", path("")),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("ERL_CRASH_DUMP_SECONDS", "0".to_owned()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("ERL_EPMD_PORT", self.fellowship.epmd.number().to_string()),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config")),
            // Makes the start script exec the Erlang machine instead of waiting for it; `-noinput` is what it then drops.
            ("RABBITMQ_ALLOW_INPUT", "true".to_owned()),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            // Without the ending, which 3.10 adds and later versions find either way.
            ("RABBITMQ_CONFIG_FILE", path("rabbitmq")),
            ("RABBITMQ_CTL_DIST_PORT_MAX", "35999".to_owned()),
            ("RABBITMQ_CTL_DIST_PORT_MIN", "35000".to_owned()),
            ("RABBITMQ_CTL_ERL_ARGS", loopback.to_owned()),
            ("RABBITMQ_DIST_PORT", self.distribution.number().to_string()),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
            ("RABBITMQ_GENERATED_CONFIG_DIR", path("config")),
            // Logs of upgrades go to the base whatever else is said.
            ("RABBITMQ_LOG_BASE", path("")),
            ("RABBITMQ_LOGS", path("node.log")),
            ("RABBITMQ_MNESIA_BASE", path("mnesia")),
            ("RABBITMQ_NODENAME", self.node_name()),
            ("RABBITMQ_PID_FILE", path("rabbitmq-own-pid")),
            ("RABBITMQ_SCHEMA_DIR", path("schema")),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", format!("-noinput {loopback}")),
        ]
        .into_iter()
    }
}
