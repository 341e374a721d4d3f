//! Everything of a process on one pair of connections.

use leveret::{ConnectOptions, JobId, Rabbit};
use leveret_tests::shared;
use leveret_tests::signal::{Counter, eventually};
use leveret_worker::{State, Worker};

use crate::kit::*;

#[tokio::test]
async fn two_workers_and_a_producer_share_two_connections_and_end_apart() {
    // Given a process with a producer and two workers, one for each of two queues
    let node = shared().await;
    let name = format!("sharing-{}", JobId::random());
    let options: ConnectOptions = node.amqp_url().parse().expect("a good URL");
    let rabbit = Rabbit::connect(options.connection_name(&name))
        .await
        .expect("connected");
    let (here, there) = (own_queue("here"), own_queue("there"));
    let start = async |queue: &leveret::Queue, done: Counter| {
        let handler = async |_: Note, State(done): State<Counter>| {
            done.add();
        };
        let worker = Worker::builder(&rabbit).route::<Note>(queue.clone()).state(done);
        Running::start(worker.register(handler)).await
    };
    let (done_here, done_there) = (Counter::new("done here"), Counter::new("done there"));
    let first = start(&here, done_here.clone()).await;
    let second = start(&there, done_there.clone()).await;

    // When jobs go through both
    for number in 0..20 {
        let queue = if number % 2 == 0 { &here } else { &there };
        rabbit
            .producer()
            .enqueue(Note { number })
            .queue(queue)
            .await
            .expect("stored");
    }
    done_here.wait_for(10).await;
    done_there.wait_for(10).await;

    // Then there are two connections for all of it
    let ours = async || {
        let names = node.connections().await;
        names.iter().filter(|other| other.starts_with(&name)).count()
    };
    assert_eq!(ours().await, 2);

    // And when one worker ends, the other and the producer go on
    assert_eq!(first.stop_one().await.completed, 10);
    let job = rabbit.producer().enqueue(Note { number: 20 });
    job.queue(&there)
        .await
        .expect("the connections are not the worker's own");
    done_there.wait_for(11).await;
    assert_eq!(second.stop_one().await.completed, 11);
    rabbit.close().await;
    eventually("no connection is left", async || ours().await == 0).await;
}
