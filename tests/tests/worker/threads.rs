//! AMQP lives on a thread of its own.

use std::time::Duration;

use leveret::runtime::LinkState;
use leveret::{ConnectOptions, Rabbit};
use leveret_tests::shared;
use leveret_worker::{Context, State};

use crate::kit::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_block_every_thread_for_three_heartbeats_lose_no_connection() {
    // Given a heartbeat of a second
    let options: ConnectOptions = shared().await.amqp_url().parse().expect("a good URL");
    let rabbit = Rabbit::connect(options.heartbeat(Duration::from_secs(1)))
        .await
        .expect("connected");
    let bench = Bench {
        queue: own_queue("blocking"),
        producer: rabbit.producer(),
        rabbit,
    };
    let probe = Probe::new();
    let block = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        // The point of the test: nothing of the application gets to run meanwhile.
        std::thread::sleep(Duration::from_secs(4));
        probe.ends.add();
    };
    let running = Running::start(bench.worker().state(probe.clone()).register(block)).await;

    // When as many handlers as there are threads block, twice
    bench.enqueue(0..4).await;
    probe.ends.wait_for(4).await;

    // Then the connections are the same, and each job ran once
    for link in [bench.rabbit.consuming(), bench.rabbit.publishing()] {
        let state = link.state();
        assert!(
            matches!(*state.borrow(), LinkState::Up { generation: 1, .. }),
            "{:?}",
            *state.borrow()
        );
    }
    let report = running.stop_one().await;
    assert_eq!((report.completed, report.recognized, report.left_unacked), (4, 0, 0));
    assert_eq!(probe.runs.count(), 4);
}
