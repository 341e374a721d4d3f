//! Rolling restarts, over and over.

use leveret::Queue;
use leveret::envelope::Incoming;
use leveret_worker::{Context, State};

use crate::kit::*;

#[tokio::test]
async fn a_hundred_and_fifty_restarts_make_no_dead_letter_of_jobs_that_nobody_finished() {
    restart_over_and_over(own_queue("restarts")).await;
}

#[tokio::test]
async fn nor_do_they_on_a_classic_queue_that_counts_no_deliveries() {
    restart_over_and_over(own_queue("classic-restarts").classic()).await;
}

async fn restart_over_and_over(queue: Queue) {
    // Given twenty jobs whose handler gives up at each shutdown; a quorum queue allows a hundred deliveries
    let bench = Bench::new(queue).await;
    let probe = Probe::new();
    let polite = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        Err(format!("{:?}", context.cancelled().await))
    };
    let builder = || {
        let builder = bench.worker().state(probe.clone()).register(polite);
        builder.concurrency(&bench.queue, 5).prefetch(&bench.queue, 20)
    };
    Running::start(builder()).await.stop_one().await;
    bench.enqueue(0..20).await;

    // When workers come, fetch all, and go
    for round in 1..=150 {
        let running = Running::start(builder()).await;
        probe.runs.wait_for(round * 5).await;
        bench.wait_for_ready(0).await;
        let report = running.stop_one().await;
        assert_eq!(
            (report.interrupted + report.returned, report.left_unacked),
            (20, 0),
            "round {round}"
        );
    }

    // Then every job is still there, at its first attempt, and none is dead
    bench.wait_for_ready(20).await;
    assert_eq!(bench.dead_letter_count().await, 0);
    let mut numbers: Vec<Vec<u8>> = Vec::new();
    for message in leveret_tests::taker::take_all(&bench.rabbit, bench.queue.name()).await {
        assert_eq!(Incoming::read(&message).expect("a job").attempt, 1);
        numbers.push(message.body.to_vec());
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 20);
}
