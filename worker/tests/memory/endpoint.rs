//! Probes over HTTP. On the machine's clock, because the endpoint has a thread of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use leveret::broker::memory::MemoryBroker;
use leveret::{ConnectOptions, Rabbit};
use leveret_worker::{Context, State, Worker};

use crate::kit::*;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// By which a handler says that it runs, and waits to be let go.
type Held = Arc<Mutex<(mpsc::Sender<()>, mpsc::Receiver<()>)>>;

async fn done(_: Note) {}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    stream
}

/// All that is answered to these bytes.
fn send(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address);
    // It may have heard enough before the end.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

/// The status and the line of a probe.
fn probe_at(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = send(address, format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n").as_bytes());
    let (head, line) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("content-type: text/plain"), "{head}");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), line.trim_end().to_owned())
}

/// Probes until it is answered so; the line of that.
async fn wait_for(address: SocketAddr, path: &str, status: u16) -> String {
    let answered = async {
        loop {
            let (told, line) = probe_at(address, path);
            if told == status {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(DEADLINE, answered).await;
    told.unwrap_or_else(|_| panic!("{path} never answered {status}"))
}

fn address_of(running: &Running) -> SocketAddr {
    running.handle.health_address().expect("it listens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_tell_outages_from_ends_and_say_why() {
    // Given a worker whose broker is away
    let stand = Stand::new();
    stand.broker.refuse_connections(true);
    stand.broker.drop_connections();
    let (probe, mut watch) = probe();
    let hold = async |note: Note, State(probe): State<Probe>, context: Context| probe.hold(note.number, &context).await;
    let worker = stand.worker().state(probe).register(hold).health_endpoint(ANY_PORT);
    let running = Running::start_unready(worker);
    while running.handle.health_address().is_none() {
        tokio::task::yield_now().await;
    }
    let address = address_of(&running);

    // Then it is alive and not ready
    assert_eq!(probe_at(address, "/ready").0, 503);
    assert_eq!(probe_at(address, "/live").0, 200);

    // When the broker comes, then it is ready
    stand.broker.refuse_connections(false);
    let line = wait_for(address, "/ready", 200).await;
    assert_eq!(line, "ready; mail: consuming; mail.suspect: consuming");
    assert_eq!(probe_at(address, "/ready?verbose"), (200, line.clone()));
    assert_eq!(probe_at(address, "/live"), (200, format!("alive; {line}")));

    // When it is lost, then the worker says why it is not ready, and is alive
    stand.broker.refuse_connections(true);
    stand.broker.drop_connections();
    let line = wait_for(address, "/ready", 503).await;
    assert!(line.starts_with("not ready; "), "{line}");
    let (status, line) = probe_at(address, "/live");
    assert_eq!((status, line.starts_with("alive; not ready; ")), (200, true), "{line}");
    stand.broker.refuse_connections(false);
    wait_for(address, "/ready", 200).await;

    // When it shuts down, then it is alive as long as a job runs, and nobody listens afterwards
    stand.store(Note { number: 7 });
    watch.started().await;
    running.handle.shutdown();
    let line = wait_for(address, "/ready", 503).await;
    assert!(line.contains("draining"), "{line}");
    assert_eq!(probe_at(address, "/live").0, 200);
    watch.let_go(1);
    assert!(running.join().await.is_clean());
    let error = TcpStream::connect_timeout(&address, DEADLINE).expect_err("the port is closed");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn probes_are_answered_while_a_handler_blocks_every_thread() {
    // Given a worker with a heartbeat of a second, in an application of one thread
    let broker = MemoryBroker::new();
    let options = ConnectOptions::default().heartbeat(Duration::from_secs(1));
    let rabbit = Rabbit::with_broker(Arc::new(broker.clone()), options).expect("in a runtime");
    let stand = Stand {
        producer: rabbit.producer(),
        rabbit,
        broker,
    };
    let (blocks, blocked) = mpsc::channel();
    let (go_on, held) = mpsc::channel::<()>();
    let held: Held = Arc::new(Mutex::new((blocks, held)));
    let block = async |_: Note, State(held): State<Held>| {
        let (blocks, held) = &*held.lock().expect("no panic");
        blocks.send(()).expect("the test waits for it");
        let _ = held.recv();
    };
    let worker = stand.worker().state(held).register(block);
    let running = Running::start(worker.health_endpoint(ANY_PORT)).await;
    let address = address_of(&running);

    // When a handler blocks that thread
    stand.store(Note { number: 1 });
    blocked.recv_timeout(DEADLINE).expect("it runs");

    // Then both probes are answered; and that nothing is consumed any more shows after two heartbeats
    assert_eq!(probe_at(address, "/live").0, 200);
    let began = Instant::now();
    loop {
        let (code, line) = probe_at(address, "/ready");
        if line.starts_with("not ready; no thread of the application's runtime has been free for ") {
            assert_eq!(code, 503);
            break;
        }
        assert!(began.elapsed() < DEADLINE, "it says {code} {line}");
        // Every thread of the runtime is blocked: nothing but this thread can ask again, and nothing tells it when.
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(probe_at(address, "/live").0, 200, "it is too early for a restart");

    // And when the handler goes on, it is ready again
    go_on.send(()).expect("the handler waits");
    wait_for(address, "/ready", 200).await;
    assert_eq!(running.stop_mail().await.completed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_probe_does_no_harm() {
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(done).health_endpoint(ANY_PORT)).await;
    let address = address_of(&running);

    // When others send what they like
    let long = [b"GET /live HTTP/1.1\r\nx: ".as_slice(), &[b'x'; 100_000]].concat();
    let requests: [(&[u8], &str); 5] = [
        (b"GET /metrics HTTP/1.1\r\n\r\n", "404 "),
        (b"POST /live HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", "405 "),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400 "),
        (b"AMQP\x00\x00\x09\x01\r\n\r\n", "400 "),
        (&long, "431 "),
    ];
    for (request, status) in requests {
        let answer = send(address, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }

    // Or say nothing, in great number
    let silent: Vec<TcpStream> = (0..100).map(|_| connect(address)).collect();

    // Then probes are answered, and those who keep it waiting are sent away
    assert_eq!(probe_at(address, "/ready").0, 200);
    for mut stream in silent {
        let mut nothing = Vec::new();
        let ended = stream.read_to_end(&mut nothing);
        let is_over = ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
        assert!(is_over && nothing.is_empty());
    }
    assert_eq!(probe_at(address, "/live").0, 200);
    drop(running.stop().await);
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_before_anything_is_consumed() {
    // Given a worker with an endpoint
    let stand = Stand::new();
    let running = Running::start(stand.worker().register(done).health_endpoint(ANY_PORT)).await;
    let address = address_of(&running);

    // When another is to listen there
    let worker = stand.worker().register(done).health_endpoint(address);
    let error = worker
        .build()
        .expect("well put together")
        .run_until(async {})
        .await
        .expect_err("taken");

    // Then it says so, and once the first has ended the port is free
    assert!(error.is_endpoint());
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("in use"), "{text}");
    drop(running.stop().await);
    let running = Running::start(stand.worker().register(done).health_endpoint(address)).await;
    assert_eq!(address_of(&running), address);
    running.kill().await;
}

#[test]
fn an_address_that_is_none_is_told_when_the_worker_is_built() {
    let worker = Worker::builder("memory://endpoint-nowhere")
        .register(done)
        .health_endpoint("localhost");
    let error = worker.build().expect_err("no port");
    assert!(
        error.to_string().contains("the address of the health endpoint"),
        "{error}"
    );
}
