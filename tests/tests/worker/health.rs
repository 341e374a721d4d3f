//! Readiness and liveness in the faults that a network and a handler have, and consumers that are dead without a word.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use leveret::{ConnectOptions, Rabbit};
use leveret_tests::signal::eventually;
use leveret_tests::{Node, Proxy, shared};
use leveret_worker::{Context, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::kit::*;

/// By which a handler is let go.
type Held = Arc<Mutex<mpsc::Receiver<()>>>;

/// By then the third look has found a consumer silent.
const FOUND: Duration = Duration::from_secs(120);

async fn run(note: Note, State(probe): State<Probe>, context: Context) {
    probe.run(note.number, &context);
}

/// Behind a proxy, with a heartbeat of a second.
async fn bench(proxy: &Proxy, name: &str) -> Bench {
    let options: ConnectOptions = proxy.amqp_url().parse().expect("a good URL");
    let rabbit = Rabbit::connect(options.heartbeat(Duration::from_secs(1))).await;
    let rabbit = rabbit.expect("the node answers");
    Bench {
        queue: own_queue(name),
        producer: rabbit.producer(),
        rabbit,
    }
}

/// What a probe is answered: the status and the line.
async fn probe_at(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    let (head, line) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), line.trim_end().to_owned())
}

async fn wait_for(address: SocketAddr, path: &str, status: u16) {
    let answered = async || probe_at(address, path).await.0 == status;
    eventually(format!("{path} answers {status}"), answered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_black_hole_a_worker_is_not_ready_and_alive_until_it_consumes_again() {
    // Given a worker with an endpoint, behind a network
    let proxy = Proxy::start(shared().await.address()).await;
    let bench = bench(&proxy, "black-hole").await;
    let probe = Probe::new();
    let worker = bench.worker().state(probe.clone()).register(run);
    let running = Running::start(worker.health_endpoint("127.0.0.1:0")).await;
    let address = running.handle.health_address().expect("it listens");
    wait_for(address, "/ready", 200).await;

    // When nothing gets through any more, and nobody says so
    proxy.stall();

    // Then only heartbeats can tell, and they do
    wait_for(address, "/ready", 503).await;
    let (status, line) = probe_at(address, "/live").await;
    assert_eq!(status, 200, "{line}");
    assert!(line.starts_with("alive; not ready; "), "{line}");
    assert!(!line.contains("guest"), "{line}");
    assert!(!running.handle.health().is_ready());

    // And when the network heals, it is ready once it consumes
    proxy.heal();
    wait_for(address, "/ready", 200).await;
    bench.enqueue([1]).await;
    probe.runs.wait_for(1).await;
    assert_eq!(running.stop_one().await.silent_consumers, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_while_handlers_block_every_thread_shows_all_the_same() {
    // Given an application whose only thread a handler blocks
    let proxy = Proxy::start(shared().await.address()).await;
    let application = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let application = application.expect("a runtime");
    let (go_on, held) = mpsc::channel::<()>();
    let held: Held = Arc::new(Mutex::new(held));
    let probe = Probe::new();
    let block = async |note: Note, State(probe): State<Probe>, State(held): State<Held>, context: Context| {
        probe.run(note.number, &context);
        // The point of the test: nothing of the application gets to run meanwhile.
        let _ = held.lock().expect("no panic").recv();
    };
    let url = proxy.amqp_url();
    let runs = probe.clone();
    let starting = application.spawn(async move {
        let bench = Bench::at(&url, own_queue("blocked")).await;
        let worker = bench
            .worker()
            .state(runs)
            .state(held)
            .register(block)
            .health_endpoint("127.0.0.1:0");
        (Running::start(worker).await, bench)
    });
    let (running, bench) = starting.await.expect("it starts");
    let address = running.handle.health_address().expect("it listens");
    wait_for(address, "/ready", 200).await;
    bench.enqueue([1]).await;
    probe.runs.wait_for(1).await;

    // When its connections are lost
    proxy.refuse().await;
    proxy.cut().await;

    // Then the endpoint says so, whatever its queues said last
    wait_for(address, "/ready", 503).await;
    let (status, line) = probe_at(address, "/live").await;
    assert_eq!(status, 200, "{line}");
    assert!(line.contains("; no connection ("), "{line}");

    // And when both are over, it is ready again
    proxy.accept().await;
    go_on.send(()).expect("the handler waits");
    wait_for(address, "/ready", 200).await;
    assert_eq!(running.stop_one().await.left_unacked, 0);
    application.shutdown_background();
}

/// Deletes a queue and declares it again before the channel of its consumer can notice.
async fn delete_and_declare(node: &Node, bench: &Bench) {
    let name = bench.queue.name();
    let suspend = format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{name}\">>)), \
         [sys:suspend(element(1, C)) || C <- rabbit_amqqueue:consumers(Q)]."
    );
    node.ctl(&["eval", &suspend]).await.expect("suspended");
    node.ctl(&["delete_queue", name]).await.expect("deleted");
    bench.rabbit.declare(&bench.queue).await.expect("declared");
    node.ctl(&["eval", "[catch sys:resume(C) || C <- rabbit_channel:list()]."])
        .await
        .expect("resumed");
}

#[tokio::test]
async fn jobs_that_a_queue_declared_again_keeps_to_itself_run_in_the_end() {
    // Given a consumer that has had more jobs than it may hold at once
    let node = Node::start().await;
    let bench = Bench::at(&node.amqp_url(), own_queue("again")).await;
    let probe = Probe::new();
    let worker = bench.worker().state(probe.clone()).register(run);
    let running = Running::start(worker.concurrency(&bench.queue, 1).prefetch(&bench.queue, 2)).await;
    bench.enqueue(0..5).await;
    probe.runs.wait_for(5).await;
    bench.wait_for_ready(0).await;

    // When its queue is deleted, and there again before its channel has noticed: RabbitMQ 3.10 then takes the next deliveries for those it had
    // made before, and keeps them; later versions cancel the consumer
    delete_and_declare(&node, &bench).await;
    bench.enqueue(5..15).await;

    // Then the consumer is found silent, or cancelled, and all jobs run
    probe.runs.wait_for_within(FOUND, 15).await;
    bench.wait_for_ready(0).await;
    let report = running.stop_one().await;
    assert_eq!((report.completed, report.left_unacked), (15, 0));
    assert!(report.silent_consumers <= 1, "{report:?}");
}

#[tokio::test]
async fn a_consumer_that_the_broker_has_forgotten_is_replaced_and_its_jobs_run() {
    // Given a consumer that its queue has forgotten, and nobody has said so
    let node = Node::start().await;
    let bench = Bench::at(&node.amqp_url(), own_queue("forgotten")).await;
    let probe = Probe::new();
    let running = Running::start(bench.worker().state(probe.clone()).register(run)).await;
    bench.enqueue([1]).await;
    probe.runs.wait_for(1).await;
    let forget = format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{}\">>)), \
         [ra:process_command(amqqueue:get_pid(Q), rabbit_fifo:make_checkout({{element(2, C), element(1, C)}}, cancel, #{{}})) \
         || C <- rabbit_amqqueue:consumers(Q)].",
        bench.queue.name()
    );
    node.ctl(&["eval", &forget]).await.expect("forgotten");

    // When jobs come
    bench.enqueue(2..5).await;

    // Then they run, and what was done about it is counted
    probe.runs.wait_for_within(FOUND, 4).await;
    bench.wait_for_ready(0).await;
    assert!(
        running
            .handle
            .health()
            .to_string()
            .contains("1 silent consumer replaced")
    );
    let report = running.stop_one().await;
    assert_eq!((report.completed, report.left_unacked), (4, 0));
}
