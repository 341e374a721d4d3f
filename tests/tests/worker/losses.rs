//! Lost acks, connections, channels and queues.

use leveret_tests::{Node, Proxy, shared};
use leveret_worker::{Cause, Context, State};

use crate::kit::*;

async fn hold(note: Note, State(probe): State<Probe>, context: Context) {
    probe.hold(note.number, &context).await;
}

#[tokio::test]
async fn jobs_whose_acks_were_lost_are_acked_unrun_when_they_come_again() {
    // Given ten running jobs, on a connection whose way to the broker stalls
    let proxy = Proxy::start(shared().await.address()).await;
    let bench = Bench::at(&proxy.amqp_url(), own_queue("ack-lost")).await;
    let probe = Probe::new();
    let running = Running::start(bench.worker().state(probe.clone()).register(hold)).await;
    bench.enqueue(0..10).await;
    probe.gate.wait_for_arrivals(10).await;
    proxy.stall_to_broker();

    // When they end, and the connection is cut with their acks on it
    probe.gate.open();
    probe.ends.wait_for(10).await;
    let anew = running.consumes_anew();
    proxy.cut().await;
    proxy.heal();
    anew.await.expect("it does");

    // Then each is recognized when it comes again, ahead of a job that comes now
    bench.enqueue([10]).await;
    probe.ends.wait_for(11).await;
    let report = running.stop_one().await;
    assert_eq!(probe.runs.count(), 11);
    assert_eq!((report.completed, report.recognized, report.left_unacked), (11, 10, 0));
    assert_eq!(bench.dead_letter_count().await, 0);
}

#[tokio::test]
async fn a_redelivery_joins_its_running_twin() {
    // Given a running job whose connection is cut
    let proxy = Proxy::start(shared().await.address()).await;
    let bench = Bench::at(&proxy.amqp_url(), own_queue("joined")).await;
    let probe = Probe::new();
    let told = async |note: Note, State(probe): State<Probe>, context: Context| {
        probe.run(note.number, &context);
        assert_eq!(context.cancelled().await, Cause::LeaseLost);
        probe.gate.pass().await;
        probe.ends.add();
    };
    let running = Running::start(bench.worker().state(probe.clone()).register(told)).await;
    bench.enqueue([7]).await;
    probe.runs.wait_for(1).await;
    let anew = running.consumes_anew();
    proxy.cut().await;
    probe.gate.wait_for_arrivals(1).await;
    anew.await.expect("it does");

    // When the broker has delivered it again while it runs
    bench.wait_for_ready(0).await;
    probe.gate.open();
    probe.ends.wait_for(1).await;

    // Then it has run once and is settled
    let report = running.stop_one().await;
    bench.wait_for_ready(0).await;
    assert_eq!(probe.attempts(), [(7, 1)]);
    assert_eq!((report.completed, report.left_unacked), (1, 0));
}

#[tokio::test]
async fn jobs_go_on_over_many_cut_connections_and_none_is_lost() {
    let proxy = Proxy::start(shared().await.address()).await;
    let bench = Bench::at(&proxy.amqp_url(), own_queue("cut")).await;
    let probe = Probe::new();
    let run = async |note: Note, State(probe): State<Probe>, context: Context| {
        tokio::task::yield_now().await;
        probe.run(note.number, &context);
    };
    let running = Running::start(bench.worker().state(probe.clone()).register(run)).await;

    for round in 0..10 {
        bench.enqueue(round * 200..(round + 1) * 200).await;
        proxy.cut().await;
    }
    probe.runs.wait_for(2_000).await;
    running.wait_until_ready().await;
    bench.wait_for_ready(0).await;

    let report = running.stop_one().await;
    let mut numbers: Vec<u64> = probe.attempts().into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
    assert_eq!((report.failed, report.left_unacked), (0, 0));
    assert_eq!(bench.dead_letter_count().await, 0);
}

#[tokio::test]
async fn a_deleted_queue_is_declared_again_and_consumed() {
    // Given a running job on a queue
    let bench = Bench::new(own_queue("deleted")).await;
    let probe = Probe::new();
    let running = Running::start(bench.worker().state(probe.clone()).register(hold)).await;
    bench.enqueue([1]).await;
    probe.gate.wait_for_arrivals(1).await;

    // When the queue is deleted, and with it the consumer cancelled
    let anew = running.consumes_anew();
    shared()
        .await
        .ctl(&["delete_queue", bench.queue.name()])
        .await
        .expect("deleted");
    // Were the queue declared again before the channel's process in the broker has noticed, RabbitMQ 3.10 would attach the old consumer
    // to the new queue, and keep to itself as many deliveries as the old queue had made.
    anew.await.expect("it does");
    bench.enqueue([2]).await;

    // Then new jobs run, and the end of the old one harms nothing
    probe.gate.wait_for_arrivals(2).await;
    probe.gate.open();
    probe.ends.wait_for(2).await;
    let report = running.stop_one().await;
    assert_eq!((report.completed, report.left_unacked), (2, 0));
    assert_eq!(probe.attempts(), [(1, 1), (2, 1)]);
}

#[tokio::test]
async fn a_channel_that_the_broker_closes_is_replaced_and_its_job_runs_once() {
    // Given a broker that closes the channel of a job held for a second, against the worker's belief
    let node = Node::start_with(&["consumer_timeout = 1000"]).await;
    node.ctl(&["eval", "application:set_env(rabbit, channel_tick_interval, 200)."])
        .await
        .expect("set");
    let bench = Bench::at(&node.amqp_url(), own_queue("overdue")).await;
    let probe = Probe::new();
    let running = Running::start(bench.worker().state(probe.clone()).register(hold)).await;

    // When a job takes longer, and other jobs come meanwhile
    let anew = running.consumes_anew();
    bench.enqueue([1]).await;
    probe.gate.wait_for_arrivals(1).await;
    anew.await.expect("it does");
    bench.enqueue([2]).await;
    probe.gate.wait_for_arrivals(2).await;
    probe.gate.open();
    probe.ends.wait_for(2).await;

    // Then each has run once
    bench.wait_for_ready(0).await;
    let report = running.stop_one().await;
    assert_eq!(probe.attempts(), [(1, 1), (2, 1)]);
    assert_eq!((report.completed, report.failed, report.left_unacked), (2, 0, 0));
}

#[tokio::test]
async fn a_killed_broker_loses_no_job_and_the_running_ones_are_not_run_twice() {
    // Given five running jobs, none fetched besides, and more in line
    let node = Node::start().await;
    let bench = Bench::at(&node.amqp_url(), own_queue("killed")).await;
    let probe = Probe::new();
    let builder = bench
        .worker()
        .state(probe.clone())
        .register(hold)
        .concurrency(&bench.queue, 5)
        .prefetch(&bench.queue, 5);
    let running = Running::start(builder).await;
    bench.enqueue(0..50).await;
    probe.gate.wait_for_arrivals(5).await;

    // When the broker is killed, the jobs end, and it comes back
    node.kill().await;
    probe.gate.open();
    probe.ends.wait_for(5).await;
    node.start_again().await;

    // Then all are done, each once
    probe.ends.wait_for(50).await;
    bench.wait_for_ready(0).await;
    let report = running.stop_one().await;
    let mut numbers: Vec<u64> = probe.attempts().into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    assert_eq!((report.recognized, report.left_unacked), (5, 0));
}
