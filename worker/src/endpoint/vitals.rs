//! What a probe is told: [`Vitals`].

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::http::Asked;
use super::stall::Stall;
use crate::health::WorkerHealth;
use crate::running::Controls;

/// A process whose threads are stuck for this long is better restarted. A handler that computes where it should not is done by then.
const STUCK: Duration = Duration::from_secs(60);

/// All that is known of the worker and of what it runs on.
#[derive(Debug)]
pub(super) struct Vitals {
    controls: Arc<Controls>,
    /// The runtime of handlers and dispatchers.
    runtime: Handle,
    application: Stall,
    amqp: Stall,
    /// Nothing is consumed where nobody has a turn for this long.
    unready: Duration,
}

impl Vitals {
    pub(super) fn new(controls: Arc<Controls>, runtime: Handle, two_heartbeats: u64) -> Self {
        let unready = Duration::from_secs(two_heartbeats);
        Self {
            controls,
            runtime,
            application: Stall::default(),
            amqp: Stall::default(),
            unready: if unready.is_zero() { STUCK } else { unready.min(STUCK) },
        }
    }

    /// Watches whether others have their turns.
    pub(super) async fn watch(&self) -> Infallible {
        let of_application = || async {
            let mut turn = JoinSet::new();
            turn.spawn_on(async {}, &self.runtime);
            turn.join_next().await;
        };
        let of_amqp = || async {
            if let Some(rabbit) = self.controls.rabbit() {
                rabbit.turn().await;
            }
        };
        tokio::select! {
            biased;
            never = self.application.watch(of_application) => never,
            never = self.amqp.watch(of_amqp) => never,
        }
    }

    /// Whether all is well, in one line.
    pub(super) fn tell(&self, asked: Asked) -> (bool, String) {
        let health = WorkerHealth::of(&self.controls);
        match asked {
            Asked::Ready => match self.stuck_for(self.unready) {
                Some(stuck) => (false, format!("not ready; {stuck}; before that: {health}")),
                None => (health.is_ready(), health.to_string()),
            },
            Asked::Live if !health.is_alive() => (false, format!("not alive; {health}")),
            Asked::Live => match self.stuck_for(STUCK) {
                Some(stuck) => (false, format!("not alive; {stuck}; before that: {health}")),
                None => (true, format!("alive; {health}")),
            },
        }
    }

    /// Who has had no turn for so long.
    fn stuck_for(&self, patience: Duration) -> Option<String> {
        let application = self.application.lasts();
        if application > patience {
            let text = "no thread of the application's runtime has been free for";
            return Some(format!("{text} {}s: do handlers block?", application.as_secs()));
        }
        let amqp = self.amqp.lasts();
        (amqp > patience).then(|| format!("the thread of the connections has been stuck for {}s", amqp.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vitals(runtime: Handle, two_heartbeats: u64) -> Vitals {
        let controls = Controls::new(["mail".to_owned()], []);
        Vitals::new(controls, runtime, two_heartbeats)
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_without_a_free_thread_is_first_not_ready_and_then_not_alive() {
        // Given a runtime that nobody drives: nothing that is spawned on it has a turn
        let stuck = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let vitals = vitals(stuck.handle().clone(), 20);
        let tell_after = async |seconds: u64| {
            tokio::select! {
                biased;
                never = vitals.watch() => match never {},
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            }
            let told = [vitals.tell(Asked::Ready), vitals.tell(Asked::Live)];
            told.map(|(good, line)| (good, line.contains(&format!("been free for {seconds}s"))))
        };

        // When time passes, then the two probes say so one after the other (the worker was never ready)
        assert_eq!(tell_after(19).await, [(false, false), (true, false)]);
        assert_eq!(tell_after(21).await, [(false, true), (true, false)]);
        assert_eq!(tell_after(61).await, [(false, true), (false, true)]);
        stuck.shutdown_background();
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_is_driven_stays_alive() {
        let vitals = vitals(Handle::current(), 20);
        tokio::select! {
            biased;
            never = vitals.watch() => match never {},
            () = tokio::time::sleep(Duration::from_secs(3_600)) => {}
        }
        assert_eq!(
            vitals.tell(Asked::Live),
            (true, "alive; not ready; mail: starting".to_owned())
        );
    }
}
