//! A long run: random faults, several at once, against a cluster, while jobs flow. A seed decides every choice.

mod plan;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use leveret_tests::soak::record::now;
use leveret_tests::{Cluster, Proxy};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use self::plan::{Fault, Step};
use crate::flow::Flow;
use crate::row::{Allowed, Row};
use crate::scenario::{Clock, Load, Options};
use crate::stage::HEARTBEAT;

const QUEUE: &str = "soak";
const UNDER_WAY: usize = 300;
const TOGETHER_AGAIN: Duration = Duration::from_secs(30);
/// After the last fault, whatever it was.
const WITHIN: Duration = Duration::from_secs(60);

/// What a long run is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) minutes: f64,
    pub(crate) seed: u64,
    /// Jobs a second.
    pub(crate) rate: u32,
}

/// What is broken and mended, each by one fault at a time.
struct Ground {
    cluster: Cluster,
    /// One in front of each node.
    proxies: Vec<Proxy>,
    nodes: Mutex<()>,
    networks: Vec<Mutex<()>>,
    flow: Mutex<Flow>,
    began: Instant,
}

/// Plays a long run and prints each fault as it ends; then its row.
pub(crate) async fn play(wanted: Wanted) -> Row {
    let time = Duration::from_secs_f64(wanted.minutes * 60.0);
    let steps = plan::make(wanted.seed, time);
    let directory = std::env::temp_dir().join(format!("leveret-chaos-{}-random", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for temporary files");
    let ground = Ground::new(wanted, time, &directory).await;
    println!(
        "seed {}: {} faults in {time:?}, {} jobs",
        wanted.seed,
        steps.len(),
        jobs(wanted, time)
    );
    join_all(steps.iter().map(|step| ground.play(*step))).await;
    let Ground { cluster, flow, .. } = ground;
    let ended = now();
    let outcome = flow.into_inner().end(&cluster.amqp_url(), &BTreeSet::new()).await;
    let allowed = Allowed {
        hops: true,
        ..Allowed::default()
    };
    let row = Row::judge("random", outcome, &allowed, Some(ended), WITHIN);
    let note = format!("{} faults, seed {}", steps.len(), wanted.seed);
    if row.is_good() {
        let _ = std::fs::remove_dir_all(&directory);
        return row.with_notes(vec![note], Vec::new());
    }
    let kept = format!("the files are in {}", directory.display());
    row.with_notes(vec![note, kept], Vec::new())
}

/// They flow a little longer than the faults last.
fn jobs(wanted: Wanted, time: Duration) -> u64 {
    u64::from(wanted.rate) * (time.as_secs() + 20)
}

impl Ground {
    async fn new(wanted: Wanted, time: Duration, directory: &Path) -> Ground {
        let cluster = Cluster::start(3).await;
        let proxies = join_all(cluster.nodes().iter().map(|node| Proxy::start(node.address()))).await;
        let hosts: Vec<String> = proxies.iter().map(|proxy| proxy.address().to_string()).collect();
        let first = proxies[0].amqp_url();
        let (login, _) = first.rsplit_once('@').expect("a login");
        let url = format!("{login}@{}/?heartbeat={}", hosts.join(","), HEARTBEAT.as_secs());
        let load = Load {
            jobs: jobs(wanted, time),
            rate: wanted.rate,
            workers: 3,
            concurrency: 16,
            work_ms: "0-10",
            fail_rate: "0.02",
            options: Options::default(),
            clock: Clock::Own,
        };
        let mut flow = Flow::start(QUEUE, (&url, &[]), load, directory);
        flow.wait_for_done(UNDER_WAY).await;
        cluster.wait_for_members(QUEUE).await;
        Ground {
            cluster,
            networks: proxies.iter().map(|_| Mutex::new(())).collect(),
            proxies,
            nodes: Mutex::new(()),
            flow: Mutex::new(flow),
            began: Instant::now(),
        }
    }

    async fn play(&self, step: Step) {
        sleep_until(self.began + step.at).await;
        match step.fault {
            Fault::Node(fault, place, time) => self.on_nodes(fault, place, time).await,
            Fault::Network(fault, place, time) => self.on_network(fault, place, time).await,
            Fault::Program(fault, place, time) => self.on_flow(fault, place, time).await,
        }
        let at = self.began.elapsed().as_secs_f64();
        println!("{:>7.1} s to {at:>7.1} s  {}", step.at.as_secs_f64(), step.fault);
    }

    /// One node at a time, and the next only when all are together again: a second one would be another fault.
    async fn on_nodes(&self, fault: plan::OnNode, place: usize, time: Duration) {
        let _one_at_a_time = self.nodes.lock().await;
        let node = &self.cluster.nodes()[place];
        let told = async |arguments: &[&str]| {
            node.ctl(arguments).await.unwrap_or_else(|error| panic!("{error}"));
        };
        match fault {
            plan::OnNode::Kill => {
                node.kill().await;
                sleep(time).await;
            }
            plan::OnNode::KillTwo => {
                node.kill().await;
                self.cluster.nodes()[(place + 1) % 3].kill().await;
                sleep(time).await;
            }
            plan::OnNode::Stop => {
                node.stop().await;
                sleep(time).await;
            }
            plan::OnNode::Freeze => {
                node.pause();
                sleep(time).await;
                node.resume();
                // One that was away for longer than the nodes' patience with each other may stay apart from them, until somebody restarts it.
                if !self.cluster.has_members_within(TOGETHER_AGAIN, QUEUE).await {
                    println!("{:>24}node {place} stays apart, and is restarted", "");
                    node.kill().await;
                }
            }
            plan::OnNode::Part => {
                self.cluster.part(place).await;
                sleep(time).await;
                self.cluster.unite(place).await;
            }
            plan::OnNode::CloseConnections => node.close_all_connections().await,
            plan::OnNode::Alarm => {
                told(&["set_vm_memory_high_watermark", "absolute", "1MiB"]).await;
                sleep(time).await;
                told(&["set_vm_memory_high_watermark", "0.4"]).await;
            }
        }
        self.cluster.start_again().await;
        self.cluster.wait_for_members(QUEUE).await;
    }

    async fn on_network(&self, fault: plan::OnNetwork, place: usize, time: Duration) {
        let _one_at_a_time = self.networks[place].lock().await;
        let proxy = &self.proxies[place];
        match fault {
            plan::OnNetwork::Reset => proxy.cut().await,
            plan::OnNetwork::Finish => proxy.fin().await,
            plan::OnNetwork::CutFrame => proxy.cut_after(4_321),
            plan::OnNetwork::Refuse => {
                proxy.refuse().await;
                proxy.cut().await;
                sleep(time).await;
                proxy.accept().await;
            }
            plan::OnNetwork::Stall => stalled(proxy, Proxy::stall, time).await,
            plan::OnNetwork::StallToBroker => stalled(proxy, Proxy::stall_to_broker, time).await,
            plan::OnNetwork::StallToClient => stalled(proxy, Proxy::stall_to_client, time).await,
        }
    }

    async fn on_flow(&self, fault: plan::OnProgram, place: usize, time: Duration) {
        let mut flow = self.flow.lock().await;
        match fault {
            plan::OnProgram::KillWorker => {
                flow.kill_worker(place).await;
                flow.add_worker(&[]);
            }
            plan::OnProgram::StopWorker => {
                flow.stop_worker(place).await;
                flow.add_worker(&[]);
            }
            plan::OnProgram::FreezeWorker => {
                flow.workers[place].signal("STOP");
                sleep(time).await;
                flow.workers[place].signal("CONT");
            }
            plan::OnProgram::KillProducer => flow.kill_and_resume_producer().await,
        }
    }
}

async fn stalled(proxy: &Proxy, stall: fn(&Proxy), time: Duration) {
    stall(proxy);
    sleep(time).await;
    proxy.heal();
}
