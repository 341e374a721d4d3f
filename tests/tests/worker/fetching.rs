//! Fetching single jobs.

use leveret::ConnectOptions;
use leveret_tests::signal::soon;
use leveret_tests::{Node, shared};
use leveret_worker::{Fetched, Fetcher, JobError, Outcome, Settled};

use crate::kit::*;

async fn fetch(fetcher: &mut Fetcher) -> Option<Fetched<Note>> {
    soon("a fetch", fetcher.fetch::<Note>()).await.expect("connected")
}

#[tokio::test]
async fn a_batch_ends_with_every_job_where_it_belongs() {
    // Given twenty jobs
    let bench = Bench::new(own_queue("batch")).await;
    bench.enqueue(0..20).await;
    let options: ConnectOptions = shared().await.amqp_url().parse().expect("a good URL");
    let mut fetcher = Fetcher::connect(options, &bench.queue).await.expect("connected");

    // When one fails at first, one is rejected, one is dropped unsettled once, and one is called off
    let (mut seen, mut dropped) = (Vec::new(), false);
    while let Some(fetched) = fetch(&mut fetcher).await {
        let (number, attempt) = (fetched.job().number, fetched.context().attempt());
        seen.push((number, attempt));
        let result = match (number, attempt) {
            (3, 1) => Err(JobError::retry_in(std::time::Duration::ZERO, "not now")),
            (5, _) => Err(JobError::reject("never")),
            (7, _) if !dropped => {
                dropped = true;
                continue;
            }
            (9, _) => Ok(Outcome::Cancel("void".into())),
            _ => Ok(Outcome::Done),
        };
        let settled = soon("a settlement", fetched.settle(result)).await.expect("settled");
        let expected = match (number, attempt) {
            (3, 1) => Settled::Retried,
            (5, _) => Settled::DeadLettered,
            (9, _) => Settled::Cancelled,
            _ => Settled::Done,
        };
        assert_eq!(settled, expected, "{number}");
    }
    let report = fetcher.close().await;

    // Then each ran once, but for the one that failed and the one that was dropped
    seen.sort_unstable();
    let mut expected: Vec<_> = (0..20).map(|number| (number, 1)).chain([(3, 2), (7, 1)]).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!((report.completed, report.retried, report.dead_lettered), (18, 1, 1));
    assert_eq!((report.cancelled, report.returned, report.left_unacked), (1, 1, 0));
    bench.wait_for_ready(0).await;
    let dead = bench.dead_letters(1).await.remove(0);
    assert_eq!(text(&dead, "leveret-failure-reason"), "rejected");
}

#[tokio::test]
async fn what_a_fetcher_held_at_its_end_comes_again_and_its_acks_stay() {
    for in_order in [true, false] {
        // Given ten jobs in hand, half of them settled
        let bench = Bench::new(own_queue("held")).await;
        bench.enqueue(0..10).await;
        let mut fetcher = Fetcher::connect(&bench.rabbit, &bench.queue).await.expect("connected");
        let mut held = Vec::new();
        for _ in 0..10 {
            held.push(fetch(&mut fetcher).await.expect("there are ten"));
        }
        assert!(fetch(&mut fetcher).await.is_none());
        for fetched in held.drain(..5) {
            fetched.settle(()).await.expect("settled");
        }

        // When the fetcher is closed, or only dropped
        match in_order {
            true => assert_eq!(fetcher.close().await.left_unacked, 5),
            false => drop(fetcher),
        }

        // Then the other half is there for the next
        bench.wait_for_ready(5).await;
        assert!(
            held.remove(0)
                .settle(())
                .await
                .expect_err("its fetcher is gone")
                .is_stale()
        );
        let mut next = Fetcher::connect(&bench.rabbit, &bench.queue).await.expect("connected");
        // In any order: to a quorum queue each fetch is a consumer of its own, and it forgets which was the first.
        let mut again = Vec::new();
        while let Some(fetched) = fetch(&mut next).await {
            assert!(fetched.context().is_redelivered());
            again.push(fetched.job().number);
            fetched.settle(()).await.expect("settled");
        }
        again.sort_unstable();
        assert_eq!(again, [5, 6, 7, 8, 9]);
    }
}

#[tokio::test]
async fn fetching_goes_on_after_a_restart_of_the_broker() {
    // Given a job in hand
    let node = Node::start().await;
    let bench = Bench::at(&node.amqp_url(), own_queue("restarted")).await;
    bench.enqueue([1]).await;
    let mut fetcher = Fetcher::connect(&bench.rabbit, &bench.queue).await.expect("connected");
    let held = fetch(&mut fetcher).await.expect("there is one");
    let context = held.context();

    // When the broker is restarted
    node.restart().await;
    soon("the loss", context.cancelled()).await;

    // Then the job is stale, and comes again
    let error = soon("a settlement", held.settle(()))
        .await
        .expect_err("its channel is gone");
    assert!(error.is_stale(), "{error}");
    let coming = async {
        loop {
            if let Ok(Some(fetched)) = fetcher.fetch::<Note>().await {
                return fetched;
            }
        }
    };
    let again = soon("the job once more", coming).await;
    assert_eq!((again.job().number, again.context().is_redelivered()), (1, true));
    again.settle(()).await.expect("settled");
    bench.wait_for_ready(0).await;
}
