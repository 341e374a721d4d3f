//! Lost connections, channels, queues and acks: a job may be delivered again, and then it is known.

use leveret::broker::memory::{Fault, FaultPoint, Moment};
use leveret_worker::{Cause, Context, State};

use crate::kit::*;

async fn hold(note: Note, State(probe): State<Probe>, context: Context) {
    probe.hold(note.number, &context).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_ack_was_lost_is_acked_unrun_when_it_comes_again() {
    // Given a connection that breaks as the ack is sent
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));
    let mut struck = false;
    stand.broker.set_faults(move |point| match point {
        FaultPoint::Flush if !std::mem::replace(&mut struck, true) => Fault::LoseConnection(Moment::Before),
        _ => Fault::None,
    });

    // When the job is done
    watch.let_go(1);

    // Then it is recognized when it comes again
    stand.wait_for_empty("mail").await;
    assert!(watch.nothing_started());
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.recognized), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_used_again_is_not_taken_for_the_job_that_was_finished() {
    // Given two jobs under one id, made at different times: one runs, the other waits for its slot
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let builder = stand.worker().concurrency(&MAIL, 1).prefetch(&MAIL, 2);
    let running = Running::start(builder.state(probe).register(hold)).await;
    for (number, made_at) in [(1, 1_000), (2, 2_000)] {
        let envelope = leveret::Envelope::new(Note { number }).expect("plain");
        let envelope = envelope.with_id("note".parse().expect("short"));
        let mut message = envelope
            .to_message(&leveret::envelope::Limits::default())
            .expect("small");
        message.properties.timestamp = Some(made_at);
        let mail = leveret::broker::Destination::queue("mail");
        stand.broker.publish_raw(&mail, &message).expect("stored");
    }
    assert_eq!(watch.started().await, (1, 1));
    stand.wait_for("mail", |depth| depth.unacked == 2).await;

    // When the first is done and its ack is lost, so that both are delivered again
    let mut struck = false;
    stand.broker.set_faults(move |point| match point {
        FaultPoint::Flush if !std::mem::replace(&mut struck, true) => Fault::LoseConnection(Moment::Before),
        _ => Fault::None,
    });
    watch.let_go(1);
    assert_eq!(watch.started().await, (2, 1));
    settled_down().await;

    // Then the first is recognized, and the second is still held by its run
    stand.wait_for("mail", |depth| depth.unacked == 1).await;
    watch.let_go(1);
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.recognized), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_retried_job_whose_ack_was_lost_is_not_retried_twice() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.hold(note.number, &context).await;
        if context.attempt() == 1 {
            Err("no".to_owned())
        } else {
            Ok(())
        }
    };
    let running = Running::start(stand.worker().state(probe).register(fail)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));
    let mut struck = false;
    stand.broker.set_faults(move |point| match point {
        FaultPoint::Settle if !std::mem::replace(&mut struck, true) => Fault::LoseConnection(Moment::Before),
        _ => Fault::None,
    });

    watch.let_go(1);

    assert_eq!(watch.started().await, (7, 2));
    settled_down().await;
    watch.let_go(1);
    stand.wait_for_empty("mail").await;
    assert!(watch.nothing_started());
    assert_eq!(running.stop_mail().await.recognized, 1);
}

#[tokio::test(start_paused = true)]
async fn a_redelivery_joins_its_run_and_settles_for_it() {
    // Given a running job whose connection is lost
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));
    stand.cut_consuming(&running).await;

    // When the broker has delivered it again, before it ends
    stand.wait_for("mail", |depth| depth.unacked == 1).await;
    settled_down().await;
    watch.let_go(1);

    // Then it has run once, and is acked
    stand.wait_for_empty("mail").await;
    assert!(watch.nothing_started());
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.recognized), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_held_too_long_is_joined_by_its_redelivery_although_the_channel_lives() {
    // Given a running job that the broker thinks is overdue, so that it cancels the consumer and takes no ack for the job
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));
    stand.broker.expire_deliveries_of("mail");

    // When it has been delivered again before it ends
    stand.wait_for("mail", |depth| depth.unacked == 1).await;
    settled_down().await;
    watch.let_go(1);

    // Then it has run once, and is acked where it was delivered last
    stand.wait_for_empty("mail").await;
    assert!(watch.nothing_started());
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.left_unacked), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_straggler_that_ends_before_its_redelivery_is_remembered() {
    // Given a running job whose connection is lost, and no other for a while
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));
    stand.broker.refuse_connections(true);
    stand.broker.drop_connections();

    // When it ends before there is a connection again
    watch.let_go(1);
    assert_eq!(watch.ended().await, 7);
    stand.broker.refuse_connections(false);

    // Then it has run once
    stand.wait_for_empty("mail").await;
    assert!(watch.nothing_started());
    assert_eq!(running.stop_mail().await.recognized, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_straggler_leaves_its_job_to_the_redelivery() {
    // Given a running job whose connection is lost
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.hold(note.number, &context).await;
        if context.is_redelivered() {
            Ok(())
        } else {
            Err("no".to_owned())
        }
    };
    let running = Running::start(stand.worker().state(probe).register(fail)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));
    stand.broker.refuse_connections(true);
    stand.broker.drop_connections();

    // When it fails before there is a connection again
    watch.let_go(2);
    assert_eq!(watch.ended().await, 7);
    stand.broker.refuse_connections(false);

    // Then the same attempt runs again, and no retry was made of the first
    assert_eq!(watch.started().await, (7, 1));
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.retried), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_running_handler_is_told_that_its_lease_is_lost_and_may_give_up_without_spending_an_attempt() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let polite = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        if context.is_redelivered() {
            return Ok(());
        }
        assert_eq!(context.cancelled().await, Cause::LeaseLost);
        Err("stopped".to_owned())
    };
    let running = Running::start(stand.worker().state(probe).register(polite)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    stand.broker.drop_connections_named("leveret (consume)");

    assert_eq!(watch.started().await, (7, 1));
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.failed, report.interrupted), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_was_not_sent_is_taken_back_when_the_lease_is_lost() {
    // Given a failed job whose retry cannot be sent yet
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        if context.is_redelivered() {
            Ok(())
        } else {
            Err("no".to_owned())
        }
    };
    let running = Running::start(stand.worker().state(probe).register(fail)).await;
    stand.broker.refuse_connections(true);
    stand.broker.drop_connections_named("leveret (publish)");
    stand.store(Note { number: 7 });
    assert_eq!(watch.started().await, (7, 1));
    settled_down().await;

    // When its own connection is lost
    stand.broker.drop_connections_named("leveret (consume)");
    settled_down().await;
    stand.broker.refuse_connections(false);

    // Then only the redelivery runs
    assert_eq!(watch.started().await, (7, 1));
    stand.wait_for_empty("mail").await;
    settled_down().await;
    assert!(watch.nothing_started());
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.retried), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_consumer_is_replaced_and_running_jobs_are_acked_where_they_came_from() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    // When the broker cancels the consumer
    stand.broker.cancel_consumers("mail");
    stand.enqueue([8]).await;

    // Then new jobs come, and the old one is acked without being delivered again
    assert_eq!(watch.started().await, (8, 1));
    watch.let_go(2);
    stand.wait_for_empty("mail").await;
    assert!(watch.nothing_started());
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.recognized), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_queue_is_declared_again_and_consumed() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    watch.let_go(1);

    assert!(stand.broker.delete_queue("mail"));
    stand.enqueue([7]).await;

    assert_eq!(watch.started().await, (7, 1));
    stand.wait_for_empty("mail").await;
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_closed_channel_is_replaced_and_the_running_job_runs_once() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    stand.enqueue([7]).await;
    assert_eq!(watch.started().await, (7, 1));

    stand.broker.kill_channels_of("mail");
    stand.wait_for("mail", |depth| depth.ready == 1).await;
    stand.wait_for("mail", |depth| depth.unacked == 1).await;
    settled_down().await;
    watch.let_go(1);

    stand.wait_for_empty("mail").await;
    assert!(watch.nothing_started());
    assert_eq!(running.stop_mail().await.completed, 1);
}

#[tokio::test(start_paused = true)]
async fn consuming_goes_on_after_any_number_of_lost_connections() {
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let running = Running::start(stand.worker().state(probe).register(hold)).await;
    for number in 0..20 {
        stand.cut_consuming(&running).await;
        stand.enqueue([number]).await;
        watch.let_go(1);
        assert_eq!(watch.ended().await, number);
    }
    stand.wait_for_empty("mail").await;
    assert_eq!(running.stop_mail().await.completed, 20);
}
