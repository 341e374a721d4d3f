//! When the broker takes no publishes, fetching goes only so far.

use leveret_worker::{Context, QueueState, State};

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn consuming_pauses_while_half_of_the_jobs_in_hand_wait_for_their_successors() {
    // Given a broker under an alarm, and jobs that fail at first
    let stand = Stand::new();
    let (probe, mut watch) = probe();
    let fail_once = async |note: Note, State(probe): State<Probe>, context: Context| -> Result<(), String> {
        probe.run(note.number, &context);
        if context.attempt() == 1 {
            Err("no".to_owned())
        } else {
            Ok(())
        }
    };
    let builder = stand
        .worker()
        .state(probe)
        .register(fail_once)
        .concurrency(&MAIL, 10)
        .prefetch(&MAIL, 20);
    let running = Running::start(builder).await;
    stand.broker.block("disk");
    for number in 0..100 {
        stand.store(Note { number });
    }

    // When half of what may be in hand waits
    let mut state = running.handle.state();
    while !matches!(&state["mail"], QueueState::Paused { reason } if reason.contains("disk")) {
        state = running.handle.changed(&state).await;
    }
    settled_down().await;

    // Then the rest goes back to the queue, where other workers find it
    let depth = stand.broker.depth("mail").expect("declared");
    assert!(depth.unacked >= 10 && depth.unacked <= 20, "{depth:?}");
    assert_eq!(depth.ready + depth.unacked, 100);
    assert!(!running.handle.is_ready());

    // And it goes on when the alarm is over
    stand.broker.unblock();
    assert!(running.handle.ready().await);
    for _ in 0..200 {
        watch.started().await;
    }
    stand.wait_for_empty("mail").await;
    let report = running.stop_mail().await;
    assert_eq!((report.completed, report.retried, report.recognized), (100, 100, 0));
}
