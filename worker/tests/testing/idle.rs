//! A worker runs until nothing is left to do: neither shorter nor longer.

use std::sync::Arc;
use std::time::Duration;

use leveret::testing::TestBroker;
use leveret::{EnqueueError, Producer};
use leveret_worker::{Context, JobError, State, Worker, WorkerBuilder};
use tokio::sync::Notify;

use crate::{MAIL, Mail, ORDERS, Order};

fn worker(broker: &TestBroker) -> WorkerBuilder {
    Worker::builder(broker.url())
}

async fn take_order(job: Order, producer: Producer) -> Result<(), EnqueueError> {
    producer.enqueue(Mail { order: job.number }).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_do_it_is_idle_as_soon_as_it_is_ready() {
    let broker = TestBroker::new();

    let built = worker(&broker).register(async |_: Order| {}).build().unwrap();
    let report = built.run_until_idle(&broker).await.unwrap();

    assert_eq!(report.queue("orders").unwrap().completed, 0);
    assert!(report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn jobs_that_follow_from_jobs_are_done_as_well() {
    // Given a hundred orders, each of which makes a mail
    let broker = TestBroker::new();
    let producer = broker.producer();
    producer.enqueue_all((0..100).map(|number| Order { number })).await;
    let built = worker(&broker).register(take_order).register(async |_: Mail| {});

    // When
    let report = built.build().unwrap().run_until_idle(&broker).await.unwrap();

    // Then
    assert_eq!(report.queue("orders").unwrap().completed, 100);
    assert_eq!(report.queue("mail").unwrap().completed, 100);
    broker.assert_queue_depth(&ORDERS, 0);
    broker.assert_queue_depth(&MAIL, 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_handed_over_and_not_waited_for_is_done_as_well() {
    // Given a handler that does not wait for the confirm of the last job, which comes late
    async fn hurry(job: Order, producer: Producer) -> Result<(), EnqueueError> {
        drop(producer.enqueue(Mail { order: job.number }).submit().await?);
        Ok(())
    }
    let broker = TestBroker::new();
    broker.producer().enqueue(Order { number: 7 }).await.unwrap();
    broker.go_down();
    let healing = tokio::spawn({
        let broker = broker.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            broker.heal();
            broker.delay_confirms(Duration::from_secs(2));
        }
    });
    let built = worker(&broker).register(hurry).register(async |_: Mail| {});

    let report = built.build().unwrap().run_until_idle(&broker).await.unwrap();

    healing.await.unwrap();
    assert_eq!(report.queue("mail").unwrap().completed, 1);
}

#[tokio::test(start_paused = true)]
async fn retries_are_run_to_their_end_and_dead_letters_are_left() {
    // Given a job that succeeds at its third attempt, and one that never does
    let broker = TestBroker::new();
    for number in [1, 2] {
        broker.producer().enqueue(Order { number }).await.unwrap();
    }
    let fickle = async |job: Order, context: Context| match (job.number, context.attempt()) {
        (1, 3) => Ok(()),
        (number, attempt) => Err(format!("{number} at {attempt}")),
    };

    // When
    let built = worker(&broker).register(fickle).build().unwrap();
    let report = built.run_until_idle(&broker).await.unwrap().queue("orders").unwrap();

    // Then
    assert_eq!((report.completed, report.retried, report.dead_lettered), (1, 4, 1));
    broker.assert_not_enqueued::<Order>();
    let dead = broker.dead_letters::<Order>();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].job.clone(), dead[0].attempt()), (Some(Order { number: 2 }), 3));
    assert_eq!((dead[0].reason(), dead[0].error()), ("failed", "2 at 3"));
}

#[tokio::test(start_paused = true)]
async fn other_queues_are_left_alone_and_do_not_keep_it() {
    let broker = TestBroker::new();
    broker.producer().enqueue(Order { number: 7 }).await.unwrap();

    let built = worker(&broker).register(take_order).build().unwrap();
    let report = built.run_until_idle(&broker).await.unwrap();

    assert_eq!(report.queue("orders").unwrap().completed, 1);
    broker.assert_enqueued(&Mail { order: 7 });
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_runs_on_without_its_job_is_waited_for() {
    // Given a running job whose queue is deleted, so that the broker knows nothing of it any more
    let broker = TestBroker::new();
    broker.producer().enqueue(Order { number: 7 }).await.unwrap();
    let gate = Arc::new(Notify::new());
    async fn hold(job: Order, State(gate): State<Arc<Notify>>, producer: Producer) -> Result<(), EnqueueError> {
        if job.number == 7 {
            gate.notified().await;
            producer.enqueue(Order { number: 8 }).await?;
        }
        Ok(())
    }
    let built = worker(&broker).state(gate.clone()).register(hold);
    let running = tokio::spawn(built.build().unwrap().run_until_idle(&broker));
    let taken = broker.memory().wait_for_depth("orders", |depth| depth.unacked == 1);
    taken.await;
    broker.delete_queue(&ORDERS);
    tokio::time::sleep(Duration::from_secs(20)).await;

    // When it ends with a job that it enqueues
    gate.notify_one();
    let report = running.await.unwrap().unwrap();

    // Then that one is done as well
    assert_eq!(report.queue("orders").unwrap().completed, 2);
    broker.assert_queue_depth(&ORDERS, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_in_the_middle_is_no_end() {
    // Given connections that are cut again and again while a hundred jobs run
    let broker = TestBroker::new();
    let producer = broker.producer();
    producer.enqueue_all((0..100).map(|number| Order { number })).await;
    let slow = async |_: Order| tokio::time::sleep(Duration::from_millis(300)).await;
    let built = worker(&broker).register(slow).build().unwrap();
    let cutting = tokio::spawn({
        let broker = broker.clone();
        async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                broker.lose_connections();
            }
        }
    });

    let report = built.run_until_idle(&broker).await.unwrap().queue("orders").unwrap();

    cutting.await.unwrap();
    assert!(report.completed >= 100, "{report:?}");
    assert_eq!((report.left_unacked, report.dead_lettered), (0, 0));
    broker.assert_queue_depth(&ORDERS, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_is_exact_on_many_threads() {
    // Given jobs that make jobs that make jobs, some handed over without waiting
    async fn chain(job: Order, producer: Producer) -> Result<(), EnqueueError> {
        if job.number > 0 {
            drop(producer.enqueue(Order { number: job.number - 1 }).submit().await?);
        }
        Ok(())
    }
    for _ in 0..20 {
        let broker = TestBroker::new();
        broker.producer().enqueue(Order { number: 200 }).await.unwrap();

        let built = worker(&broker).register(chain).build().unwrap();
        let report = built.run_until_idle(&broker).await.unwrap();

        assert_eq!(report.queue("orders").unwrap().completed, 201);
    }
}

#[tokio::test(start_paused = true)]
async fn connections_may_be_shared_and_what_keeps_a_worker_from_running_is_told() {
    // Given a worker on shared connections, and a queue that is there with other settings
    let broker = TestBroker::new();
    let rabbit = broker.rabbit();
    rabbit.producer().enqueue(Order { number: 7 }).await.unwrap();
    let reject = async |_: Order| Err::<(), _>(JobError::reject("no"));
    let built = Worker::builder(&rabbit).register(reject).build().unwrap();
    let other = worker(&broker)
        .register(reject)
        .route::<Order>(ORDERS.classic())
        .build()
        .unwrap();

    // Then the first does its work, and the second says why it cannot
    let report = built.run_until_idle(&broker).await.unwrap();
    assert_eq!(report.queue("orders").unwrap().dead_lettered, 1);
    assert!(other.run_until_idle(&broker).await.unwrap_err().is_topology());
}

#[tokio::test]
#[should_panic(expected = "build it with `Worker::builder(broker.url())`")]
async fn a_worker_of_another_broker_is_no_worker_of_this_one() {
    let built = worker(&TestBroker::new())
        .register(async |_: Order| {})
        .build()
        .unwrap();
    let _ = built.run_until_idle(&TestBroker::new()).await;
}
