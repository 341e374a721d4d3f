//! A network interface that the programs have to themselves: a network namespace, and a pair of interfaces that lead there.

use std::net::Ipv4Addr;
use std::process::Stdio;

use leveret_tests::Node;
use leveret_tests::ports::PortClaim;
use tokio::process::{Child, Command};

use super::Way;

/// Of the addresses for tests of network devices, 198.18.0.0/15: four for each port number.
const NETWORK: u32 = 0xC612_0000;

/// The line. It ends with this value and with this process, whichever is first.
pub(crate) struct Line {
    /// Lives in the namespace, which lives as long: until its input ends.
    holder: Child,
    /// The end on this side.
    near: String,
    /// The end in the namespace.
    far: String,
    _claim: PortClaim,
}

impl Line {
    /// Lays a line between the programs and a node that listens at its near end too.
    pub(super) async fn lay() -> Way {
        let claim = PortClaim::take();
        let port = claim.number();
        let [near, far] = [1, 2].map(|end| Ipv4Addr::from(NETWORK + 4 * u32::from(port) + end));
        let line = Line {
            holder: holder().await,
            near: format!("lvn{port}"),
            far: format!("lvf{port}"),
            _claim: claim,
        };
        let namespace = line.pid();
        run(&[
            "ip", "link", "add", &line.near, "type", "veth", "peer", "name", &line.far, "netns", &namespace,
        ])
        .await;
        run(&["ip", "address", "add", &format!("{near}/30"), "dev", &line.near]).await;
        run(&["ip", "link", "set", &line.near, "up"]).await;
        line.inside(&["ip", "address", "add", &format!("{far}/30"), "dev", &line.far])
            .await;
        line.inside(&["ip", "link", "set", &line.far, "up"]).await;
        line.inside(&["ip", "link", "set", "lo", "up"]).await;
        let listener = format!("listeners.tcp.line = {near}:{port}");
        Way {
            node: Some(Node::start_with(&[&listener]).await),
            url: format!("amqp://guest:guest@{near}:{port}"),
            launcher: line.launcher(),
            line: Some(line),
            ..Way::default()
        }
    }

    /// From now on it carries so many bits a second, each way.
    pub(crate) async fn slow_down(&self, bits: u32) {
        let rate = format!("{bits}bit");
        let shape = |end| {
            [
                "tc", "qdisc", "add", "dev", end, "root", "tbf", "rate", &rate, "burst", "4kb", "latency", "1s",
            ]
        };
        run(&shape(&self.near)).await;
        self.inside(&shape(&self.far)).await;
    }

    /// From now on it loses this share of all packets, each way. Without netem, which not every kernel has.
    pub(crate) async fn lose(&self, share: &str) {
        for chain in ["INPUT", "OUTPUT"] {
            let matching = [
                "-m",
                "statistic",
                "--mode",
                "random",
                "--probability",
                share,
                "-j",
                "DROP",
            ];
            self.inside(&[&["iptables", "--wait", "-A", chain][..], &matching].concat())
                .await;
        }
    }

    /// It is as it was.
    pub(crate) async fn heal_speed(&self) {
        run(&["tc", "qdisc", "delete", "dev", &self.near, "root"]).await;
        self.inside(&["tc", "qdisc", "delete", "dev", &self.far, "root"]).await;
    }

    /// It loses nothing any more.
    pub(crate) async fn heal_losses(&self) {
        self.inside(&["iptables", "--wait", "-F"]).await;
    }

    fn pid(&self) -> String {
        self.holder.id().expect("it was not awaited").to_string()
    }

    fn launcher(&self) -> Vec<String> {
        ["nsenter", "--net", "--target", &self.pid()]
            .map(str::to_owned)
            .to_vec()
    }

    async fn inside(&self, command: &[&str]) {
        let launcher = self.launcher();
        let launcher: Vec<&str> = launcher.iter().map(String::as_str).collect();
        run(&[&launcher, command].concat()).await;
    }
}

/// A process in a network namespace of its own that does nothing.
async fn holder() -> Child {
    let holder = Command::new("unshare")
        .args(["--net", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("unshare, of the Debian package util-linux");
    let pid = holder.id().expect("it was not awaited");
    let [own, its] = ["self".to_owned(), pid.to_string()].map(|of| format!("/proc/{of}/ns/net"));
    let own = std::fs::read_link(own).expect("Linux");
    let moved = async || std::fs::read_link(&its).is_ok_and(|its| its != own);
    leveret_tests::signal::eventually("a network namespace of our own; it takes root", moved).await;
    holder
}

async fn run(command: &[&str]) {
    let done = Command::new(command[0]).args(&command[1..]).output().await;
    let done = done.unwrap_or_else(|error| {
        panic!(
            "{}: {error}; the Debian packages iproute2, iptables and util-linux have what it takes",
            command[0]
        )
    });
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{}: {said}; it takes root", command.join(" "));
}
